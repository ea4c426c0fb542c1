//! Kills around a send (F9): at most one repeat, marked; never none; one incident.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;

use futures_util::StreamExt as _;
use receiversim::{Heard, Place};
use serde_json::json;

use super::{AT_ONCE, counted};
use crate::checker::violations;
use crate::house::{House, Upstream, eventually};
use crate::notifying::outside::{Outside, named, until};

const PLACES: [Place; 3] = [Place::PagerDuty, Place::Slack, Place::Webhook];
/// Sends about one rollout; none has more.
const SENDS_MAX: u64 = 60;

/// What a run with a kill came to: each thing that was said, with whether it was marked as a repeat each time that it was.
struct Run {
    died: bool,
    hits: BTreeMap<String, u64>,
    wrong: Vec<String>,
    said: BTreeMap<(Place, String), Vec<bool>>,
}

impl Run {
    /// How many things each receiver was told.
    fn told(&self) -> Vec<usize> {
        PLACES.iter().map(|place| self.said.keys().filter(|(at, _)| at == place).count()).collect()
    }

    fn incidents(&self) -> Vec<&str> {
        let pages = self.said.keys().filter(|(place, _)| *place == Place::PagerDuty);
        pages.map(|(_, said)| said.as_str()).filter(|said| !said.starts_with("change")).collect()
    }
}

/// Promotes what turns back by itself: nobody opens its gate.
async fn promoted(house: &House) -> bool {
    let policy = json!({"name": "unseen", "steps": [
        {"split": 50, "dwell": "300ms"}, {"split": 100, "dwell": "0s", "gate": {"expires": "1s"}},
    ]});
    let request = house.client.post(format!("{}/v1/registry/reranker/2/promote", house.api));
    let request = request.header("idempotency-key", "once").json(&json!({ "policy": policy }));
    let answered = request.send().await;
    assert!(!answered.as_ref().is_ok_and(|answer| answer.status() == 422), "{answered:?}");
    answered.is_ok_and(|answer| answer.status().is_success())
}

/// Whether every receiver has heard the end.
fn is_told(outside: &Outside) -> bool {
    let heard = |place, is_end: fn(&Heard) -> bool| outside.receivers.heard(place).iter().any(is_end);
    heard(Place::PagerDuty, |page| page.body["event_action"] == "resolve")
        && heard(Place::Slack, |message| message.text.contains("was rolled back"))
        && heard(Place::Webhook, |news| news.body["data"]["to"] == "rolled_back")
}

/// What a request says, without what differs when it is said again. That a retreat waits is no part of the story: whether it does
/// depends on how long the start after a kill takes.
fn said(place: Place, heard: &Heard) -> Option<(String, bool)> {
    let text =
        |pointer: &str| heard.body.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default().to_owned();
    let said = match place {
        Place::PagerDuty if heard.path == "/v2/change/enqueue" => "change".to_owned(),
        Place::PagerDuty if text("/payload/class") == "retreat_not_applied" => return None,
        Place::PagerDuty => format!("{} {}", text("/event_action"), text("/dedup_key")),
        Place::Slack if heard.text.contains("not applied") => return None,
        Place::Slack => text("/text").trim_start_matches("(repeat) ").to_owned(),
        Place::Webhook if text("/type").contains("waiting") => return None,
        Place::Webhook => text("/id"),
    };
    let is_repeat = heard.body.pointer("/payload/custom_details/repeat").is_some()
        || text("/text").starts_with("(repeat) ")
        || heard.headers.contains_key("x-tidegate-repeat");
    Some((said, is_repeat))
}

/// A whole rollout, with a kill where the place is reached for the nth time.
async fn run(kill: Option<(&str, u64)>) -> Run {
    let outside = Outside::start().await;
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    let house = House::start();
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    let folder = house.stop();
    let hits = folder.path().join("hits");
    let armed = kill.map(|(place, nth)| format!("{place}:kill@{nth}")).unwrap_or_default();
    let points = named(&[("TIDEGATE_FAILPOINT", &armed), ("TIDEGATE_FAILPOINT_HITS", hits.to_str().unwrap())]);
    let variables = [outside.all(), points].concat();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut died = true;
    if let Some(mut house) = House::try_start_as(Arc::clone(&folder), Stdio::null(), &variables) {
        promoted(&house).await;
        died = house.dies_or("/v1/rollouts", |_| is_told(&outside)).await;
        let _folder = if kill.is_some() { house.kill() } else { house.stop() };
    }
    // The last send is heard before it is over.
    died |= kill.is_some_and(|(place, nth)| counted(&hits).get(place).is_some_and(|reached| *reached >= nth));
    if died {
        let house = House::start_telling(Arc::clone(&folder), &outside.all());
        eventually("what was asked for under a key can be asked again", async || promoted(&house).await).await;
        until(|| is_told(&outside).then_some(())).await.expect("everybody is told");
        house.quiet().await;
        house.stop();
    }
    outside.assert_good();
    let mut told: BTreeMap<_, Vec<bool>> = BTreeMap::new();
    for place in PLACES {
        for (text, is_repeat) in outside.receivers.heard(place).iter().filter_map(|heard| said(place, heard)) {
            told.entry((place, text)).or_default().push(is_repeat);
        }
    }
    Run { died, hits: counted(&hits), wrong: violations(folder.path()).await, said: told }
}

/// One kill; `repeats` says how what was in hand was marked, each time that it was heard. Another channel may have had something in
/// hand as well.
fn check(run: &Run, what: &str, expected: &[usize], repeats: &[bool]) {
    assert_eq!(run.wrong, Vec::<String>::new(), "killed at {what}");
    assert_eq!(run.told(), expected, "killed at {what}: {:#?}", run.said);
    let again: Vec<_> = run.said.iter().filter(|(_, marks)| **marks != [false]).collect();
    assert!(again.iter().any(|(_, marks)| *marks == repeats), "killed at {what}: {again:#?}");
    assert!(again.iter().all(|(_, marks)| matches!(marks[..], [true] | [false, true])), "killed at {what}: {again:#?}");
    let channels: BTreeSet<_> = again.iter().map(|((place, _), _)| place).collect();
    assert_eq!(channels.len(), again.len(), "killed at {what}, more than one of a channel: {again:#?}");
    let incidents = run.incidents();
    assert!(incidents[0].starts_with("resolve rollout/") && incidents[1].starts_with("trigger rollout/"));
    assert_eq!(incidents.len(), 2, "killed at {what}: {incidents:?}");
    assert_eq!(incidents[0].split_once(' ').unwrap().1, incidents[1].split_once(' ').unwrap().1, "one incident");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_around_any_send_repeats_it_once_marked_and_loses_none() {
    let undisturbed = run(None).await;
    assert!(!undisturbed.died && undisturbed.said.values().all(|marks| *marks == [false]), "{:#?}", undisturbed.said);
    // A receiver has answered, and nobody knows it: it is told again. Nobody was told yet: the mark is only care.
    let places = [("notifier_after_send", &[false, true][..], 1), ("notifier_before_send", &[true], 4)];
    for (place, repeats, each) in places {
        let runs = futures_util::stream::iter((1..SENDS_MAX).step_by(each));
        let runs = runs.map(|nth| async move { (nth, run(Some((place, nth))).await) });
        let (mut runs, mut kills, mut hits) = (runs.buffered(AT_ONCE), 0, 0);
        while let Some((nth, run)) = runs.next().await {
            if !run.died {
                break;
            }
            check(&run, &format!("{place} {nth}"), &undisturbed.told(), repeats);
            kills += 1;
            hits += run.hits[place];
        }
        println!("{place}: killed at {kills} sends, reached {hits} times");
        assert!(kills >= 5, "{kills}");
    }
}
