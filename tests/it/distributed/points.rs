//! Kills at named places of the way over a nats-server (F1, F2, F3, F7), and the checker, which must see a design that was broken on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::plant::Plant;
use super::{judged_by, served};
use crate::checker::{stories_of, violations_of};
use crate::house::LIMIT;
use crate::witness::Witness;

const ARMED: &str = "TIDEGATE_FAILPOINT";
/// Those that commit steps of a rollout.
const COMMITTING: [&str; 6] =
    ["registry-writer", "stage-scheduler", "deployer", "traffic-updater", "analyzer", "notifier"];
/// Messages in hand; those that arrived together are one transaction.
const TOGETHER: usize = 100;
/// Those that say something about a rollout.
const SPEAKING: [&str; 6] = ["api", "registry-writer", "stage-scheduler", "deployer", "traffic-updater", "analyzer"];

/// Starts those who have died again, without what killed them, until there is an answer; gives who died.
async fn until(plant: &mut Plant, path: &str, is_so: impl Fn(&Value) -> bool) -> BTreeSet<&'static str> {
    until_with(plant, "", path, is_so).await.into_keys().collect()
}

/// The same with what they are armed with from then on; gives how often each died.
async fn until_with(
    plant: &mut Plant,
    armed: &str,
    path: &str,
    is_so: impl Fn(&Value) -> bool,
) -> BTreeMap<&'static str, usize> {
    let (since, mut died) = (Instant::now(), BTreeMap::new());
    loop {
        for process in &mut plant.processes {
            if process.has_ended().is_some() {
                *died.entry(process.name).or_default() += 1;
                process.started_with(ARMED, armed);
            }
        }
        if plant.read(path).await.is_some_and(|answer| is_so(&answer)) {
            return died;
        }
        assert!(since.elapsed() < LIMIT, "in vain at {path}, after the deaths of {died:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn is_completed(rollout: &Value) -> bool {
    rollout["stage"] == "completed"
}

/// Whoever starts publishes again what was published lately; where the way of a rollout is meant, that is out of the way.
async fn nothing_was_said_lately(plant: &Plant) {
    plant.quiet().await;
    plant.postgres.say("update outbox set published_at = published_at - 60000").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_and_f2_a_death_before_a_publication_or_before_it_is_noted_loses_and_doubles_nothing() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    for (candidate, place) in [("2", ""), ("1", "relay_before_publish"), ("2", "relay_before_mark")] {
        let armed = if place.is_empty() { String::new() } else { format!("{place}:kill") };
        nothing_was_said_lately(&plant).await;
        for process in plant.processes.iter_mut().filter(|process| SPEAKING.contains(&process.name)) {
            process.started_with(ARMED, &armed);
        }
        plant.until_ready().await;
        let promoted = plant.saying(format!("/v1/registry/reranker/{candidate}/promote"), judged_by("error_rate"));
        let path = "/v1/rollouts?limit=1";
        let is_over = |page: &Value| {
            let latest = &page["items"][0];
            latest["candidate"] == candidate && latest["policy"] != "activate" && is_completed(latest)
        };
        let died = until(&mut plant, path, is_over).await;
        promoted.await.unwrap();
        let expected = if place.is_empty() { BTreeSet::new() } else { BTreeSet::from(SPEAKING) };
        assert_eq!(died, expected, "{place}");
    }
    users.stop().await;
    let store = plant.store().await;
    let stories: Vec<_> = stories_of(&store).await.into_iter().skip(1).map(|(_, story)| story).collect();
    store.close().await;
    assert!(stories.len() == 3 && stories.iter().all(|story| *story == stories[0]), "{stories:#?}");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_a_death_of_each_service_after_each_of_its_commits_changes_no_story() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    for (candidate, armed) in [("2", ""), ("1", "step_after_commit:kill")] {
        plant.quiet().await;
        for process in plant.processes.iter_mut().filter(|process| COMMITTING.contains(&process.name)) {
            process.started_with(ARMED, armed);
        }
        plant.promote(candidate, &judged_by("error_rate")).await;
        let is_over = |page: &Value| is_completed(&page["items"][0]) && page["items"][0]["candidate"] == candidate;
        let died = until_with(&mut plant, armed, "/v1/rollouts?limit=1", is_over).await;
        let expected: &[_] = if armed.is_empty() { &[] } else { &COMMITTING };
        assert_eq!(died.keys().copied().collect::<BTreeSet<_>>(), expected.iter().copied().collect(), "{died:?}");
        let serves = |model: &Value| model["active"] == candidate && model["rollout"].is_null();
        until_with(&mut plant, armed, "/v1/models/reranker", serves).await;
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    for process in plant.processes.iter_mut().filter(|process| COMMITTING.contains(&process.name)) {
        process.started_with(ARMED, "");
    }
    plant.until_ready().await;
    let store = plant.store().await;
    let stories: Vec<_> = stories_of(&store).await.into_iter().skip(1).map(|(_, story)| story).collect();
    store.close().await;
    assert!(stories.len() == 2 && stories[0] == stories[1], "{stories:#?}");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_death_before_a_commit_with_a_hundred_messages_in_hand_settles_none_of_them_and_then_all() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    plant.quiet().await;
    let before = rollouts(&plant).await;
    plant.one("registry-writer", 0).kill();
    let jetstream = plant.nats.jetstream().await;
    for number in 0..TOGETHER {
        let event = json!({"specversion": "1.0", "id": format!("together.{number}"), "source": "/elsewhere",
            "type": "dev.tidegate.version.promote.v1", "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json",
            "data": {"tenant": "default", "model": "reranker", "version": "2", "target_stage": "canary",
                "policy": "activate"}});
        let sent = jetstream.publish("tg.in.default.reranker.version.promote", event.to_string().into()).await;
        sent.unwrap().await.unwrap();
    }
    plant.one("registry-writer", 0).started_with(ARMED, "step_before_commit:kill");
    let since = Instant::now();
    while plant.one("registry-writer", 0).has_ended().is_none() {
        assert!(since.elapsed() < LIMIT, "it was not killed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(rollouts(&plant).await, before, "nothing of the transaction is there");
    plant.one("registry-writer", 0).started_with(ARMED, "");
    plant.quiet().await;
    assert_eq!(rollouts(&plant).await, before + TOGETHER, "all of it is there once");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

/// How many there are, refused ones too.
async fn rollouts(plant: &Plant) -> usize {
    let store = plant.store().await;
    let count = stories_of(&store).await.len();
    store.close().await;
    count
}

/// What the checker says of what a plant has left behind so far.
async fn checked(plant: &Plant) -> Vec<String> {
    let (store, server) = (plant.store().await, plant.server().await);
    let wrong = violations_of(&store, Some(&server)).await;
    store.close().await;
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_sees_what_was_marked_as_published_before_it_was() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    nothing_was_said_lately(&plant).await;
    plant.one("stage-scheduler", 0).started_with(ARMED, "publish_last:on,relay_before_publish:kill@2");
    plant.until_ready().await;
    plant.promote("2", &json!({"policy": "activate"})).await;
    let is_over = |page: &Value| is_completed(&page["items"][0]) && page["items"][0]["candidate"] == "2";
    assert_eq!(until(&mut plant, "/v1/rollouts?limit=1", is_over).await, BTreeSet::from(["stage-scheduler"]));
    plant.quiet().await;
    let wrong = checked(&plant).await;
    assert!(wrong.iter().any(|what| what.contains("was never settled by")), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_sees_what_was_handled_twice_over_a_server() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    // The message that starts a rollout, and the answers about it, come again to a process that has forgotten them.
    for nth in 1..=4 {
        plant.one("stage-scheduler", 0).started_with(ARMED, &format!("no_dedupe:on,consumer_before_ack:kill@{nth}"));
        plant.until_ready().await;
        let candidate = ["1", "2"][nth % 2];
        plant.promote(candidate, &json!({"policy": "activate"})).await;
        let forgetful = plant.one("stage-scheduler", 0);
        let since = Instant::now();
        while forgetful.has_ended().is_none() {
            assert!(since.elapsed() < LIMIT, "it was not killed");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        forgetful.started_with(ARMED, "no_dedupe:on");
        let path = "/v1/rollouts?limit=1";
        until(&mut plant, path, |page| is_completed(&page["items"][0]) && page["items"][0]["candidate"] == candidate)
            .await;
        plant.quiet().await;
        if checked(&plant).await.iter().any(|what| what.contains("it was handled twice")) {
            return;
        }
    }
    panic!("nothing was handled twice, or nobody saw it");
}
