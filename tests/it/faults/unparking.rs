//! Kills while a parked message is replayed or dropped: what was asked for is done once, whole, and by nobody else.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use chassis::failpoint::PLACES;
use receiversim::{Mood, Place};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::counted;
use crate::house::{House, Upstream, answer, eventually, slip_in};
use crate::notifying::outside::{Outside, named, until};

/// A parked message, and what is asked for it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    /// A delivery that its receiver refused, and would take now.
    Delivered,
    /// The same, and nobody wants it any more.
    Dropped,
    /// A message of a type that nobody knows: it is parked again.
    Hopeless,
}

impl Case {
    /// The call, and the outcome.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Delivered => ("replay", "applied"),
            Self::Dropped => ("drop", "dropped"),
            Self::Hopeless => ("replay", "parked"),
        }
    }
}

/// A stopped house in which one message is parked, and the id of that.
async fn prepared(case: Case, outside: &Outside, upstream: &Upstream) -> (Arc<TempDir>, String) {
    if case != Case::Hopeless {
        outside.receivers.turn(Place::Webhook, Mood::Answers { status: 400, retry_after: None, times: 1 });
    }
    let house = House::start_telling(Arc::new(tempfile::tempdir().unwrap()), &outside.webhook());
    house.serves("reranker", "1", &upstream.url).await;
    let mut house = house;
    if case == Case::Hopeless {
        let folder = house.stop();
        let event = json!({"specversion": "1.0", "id": "dance-1", "source": "/ci", "data": {},
            "type": "dev.tidegate.version.dance.v1"});
        slip_in(folder.path(), "tg.in.default.reranker.version.dance", &event).await;
        house = House::start_telling(folder, &outside.webhook());
    }
    let is_one = |parked: &Value| parked["items"].as_array().is_some_and(|items| items.len() == 1);
    let parked = house.until("/v1/parked", is_one).await;
    house.quiet().await;
    (house.stop(), parked["items"][0]["id"].as_str().unwrap().to_owned())
}

/// Asks until somebody has heard it, as a careful client does: under one key.
async fn asked(house: &House, case: Case, id: &str) -> Option<Value> {
    let path = format!("{}/v1/parked/{id}/{}", house.api, case.words().0);
    let request = house.client.post(path).header("idempotency-key", "once").json(&json!({"actor": "ann"}));
    let answered = request.send().await.ok()?;
    if !answered.status().is_success() {
        return None;
    }
    answered.json().await.ok()
}

/// Kills at a place; gives how often it was reached.
async fn killed(case: Case, place: &str) -> u64 {
    let (outside, upstream) = (Outside::start().await, Upstream::start("1").await);
    let (folder, id) = prepared(case, &outside, &upstream).await;
    let hits = folder.path().join("hits");
    let armed = format!("{place}:kill");
    let points = named(&[("TIDEGATE_FAILPOINT", &armed), ("TIDEGATE_FAILPOINT_HITS", hits.to_str().unwrap())]);
    let variables = [outside.webhook(), points].concat();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut house = House::start_as(Arc::clone(&folder), Stdio::null(), &variables);
    // It may be told before it dies.
    asked(&house, case, &id).await;
    assert!(house.dies_or("/v1/parked", |_| false).await);
    let house = House::start_telling(house.kill(), &outside.webhook());
    eventually("what was asked for is done", async || {
        asked(&house, case, &id).await.is_some_and(|answer| answer["outcome"] == case.words().1)
    })
    .await;
    let what = format!("killed at {place}, {case:?}");
    let (_, parked) = house.get("/v1/parked").await;
    assert_eq!(parked["items"].as_array().unwrap().len(), usize::from(case == Case::Hopeless), "{what}: {parked}");
    let (status, whole) = answer(house.client.get(format!("{}/v1/parked/{id}", house.api))).await;
    match case {
        Case::Delivered => assert_eq!((status, &whole["past"].as_array().unwrap().len()), (200, &1), "{what}: {whole}"),
        Case::Dropped => assert_eq!(status, 404, "{what}: {whole}"),
        Case::Hopeless => {
            assert_eq!((&whole["tries"], whole["past"].as_array().unwrap().len()), (&json!(2), 1), "{what}");
        }
    }
    arrives(case, &outside, &what).await;
    house.quiet().await;
    house.stop();
    arrives(case, &outside, &what).await;
    counted(&hits)[place]
}

/// How often the news that were refused came again, and were taken: once when they are replayed, never when they are dropped.
async fn arrives(case: Case, outside: &Outside, what: &str) {
    let refused = outside.receivers.heard(Place::Webhook).into_iter().find(|heard| heard.status == Some(400));
    let Some(refused) = refused else { return };
    let again = || {
        let heard = outside.receivers.heard(Place::Webhook).into_iter();
        heard.filter(|heard| heard.body["id"] == refused.body["id"] && heard.status != Some(400)).collect::<Vec<_>>()
    };
    let expected = usize::from(case == Case::Delivered);
    until(|| (again().len() >= expected).then_some(())).await.expect("what is replayed arrives");
    let again = again();
    assert_eq!(again.len(), expected, "{what}: {again:#?}");
    for heard in again {
        assert_eq!(heard.status, Some(202), "{what}");
        assert!(!heard.headers.contains_key("x-tidegate-repeat"), "{what}: a refusal was an answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_a_parked_message_is_replayed_or_dropped_does_it_once() {
    let all = [Case::Delivered, Case::Dropped, Case::Hopeless];
    let cases = [
        ("replay_before_handling", &all[..]),
        ("replay_after_handling", &all[..1]),
        ("replay_before_commit", &all[1..]),
        ("replay_after_commit", &all[1..]),
    ];
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, cases) in cases {
        for case in cases {
            *hits.entry(place).or_default() += killed(*case, place).await;
        }
    }
    println!("kills by place: {hits:#?}");
    assert_eq!(hits.len(), PLACES.iter().filter(|place| place.starts_with("replay_")).count(), "{hits:?}");
}
