//! A second promote while a rollout of the model is live: refused, queued, or in its place.

use serde_json::{Value, json};

use crate::checker::violations;
use crate::house::{House, Upstream, slip_in};

/// A step that waits for a word.
fn slow() -> Value {
    json!({"name": "slow", "steps": [{"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]})
}

/// Version 1 serves, 2 is being rolled out, 3 and 4 are ready to be.
async fn while_two_is_live() -> (House, Vec<Upstream>, String) {
    let house = House::start();
    let mut upstreams = Vec::new();
    for version in ["1", "2", "3", "4"] {
        let upstream = Upstream::start(version).await;
        if version == "1" {
            house.serves("reranker", version, &upstream.url).await;
        } else {
            house.version("reranker", version, &upstream.url).await;
        }
        upstreams.push(upstream);
    }
    let id = house.promote("reranker", "2", &json!({ "policy": slow() })).await;
    stands(&house, &id, "observing").await;
    (house, upstreams, id)
}

async fn stands(house: &House, id: &str, stage: &str) -> Value {
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == stage).await
}

async fn say(house: &House, id: &str, verb: &str) {
    let (status, answer) = house.post(&format!("/v1/rollouts/{id}/{verb}"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_promote_waits_and_a_newer_one_takes_its_place() {
    let (house, _upstreams, two) = while_two_is_live().await;
    let (status, refused) = house.post("/v1/registry/reranker/3/promote", &json!({ "policy": slow() })).await;
    assert_eq!((status, &refused["rollout_id"]), (409, &json!(two)), "{refused}");

    let three = house.promote("reranker", "3", &json!({ "policy": slow(), "when_live": "queue" })).await;
    stands(&house, &three, "queued").await;
    let four = house.promote("reranker", "4", &json!({ "policy": slow(), "when_live": "queue" })).await;
    stands(&house, &four, "queued").await;
    let superseded = house.ended(&three).await;
    assert_eq!(superseded["stage"], "superseded");
    assert_eq!(superseded["reason"], json!(format!("superseded by {four}")));
    assert_eq!(house.get(&format!("/v1/rollouts/{two}")).await.1["stage"], "observing", "the live one goes on");

    // The end of the live one is the turn of the one that waits.
    say(&house, &two, "promote").await;
    assert_eq!(house.ended(&two).await["stage"], "completed");
    let started = stands(&house, &four, "observing").await;
    assert_eq!((&started["previous"], &started["candidate"]), (&json!("2"), &json!("4")));
    say(&house, &four, "rollback").await;
    assert_eq!(house.ended(&four).await["stage"], "rolled_back");
    house.until("/v1/models/reranker", |model| model["active"] == "2" && model["rollout"].is_null()).await;
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promote_that_supersedes_turns_the_live_one_back_first() {
    let (house, _upstreams, two) = while_two_is_live().await;
    let mut policy = slow();
    policy["when_live"] = json!("supersede");
    let three = house.promote("reranker", "3", &json!({ "policy": policy, "requested_by": "ana" })).await;
    let ended = house.ended(&two).await;
    assert_eq!(ended["stage"], "superseded");
    let started = stands(&house, &three, "observing").await;
    assert_eq!((&started["previous"], &started["split"]["applied"]), (&json!("1"), &json!(5_000)));
    let (_, history) = house.get(&format!("/v1/rollouts/{two}/history")).await;
    let overtaken = history["items"].as_array().unwrap().iter().find(|entry| entry["fact"] == "overtaken").unwrap();
    assert_eq!((&overtaken["to"], &overtaken["actor"]), (&json!("retreating"), &json!("ana")));

    // One that is nearly through is waited for.
    say(&house, &three, "promote").await;
    assert_eq!(house.ended(&three).await["stage"], "completed");
    let mut baked = slow();
    (baked["bake"], baked["steps"]) = (json!("10m"), json!([{"split": 100, "dwell": "0s"}]));
    let two = house.promote("reranker", "2", &json!({ "policy": baked })).await;
    stands(&house, &two, "baking").await;
    let four = house.promote("reranker", "4", &json!({ "policy": slow(), "when_live": "supersede" })).await;
    stands(&house, &four, "queued").await;
    let (_, history) = house.get(&format!("/v1/rollouts/{two}/history")).await;
    let refusal = history["items"].as_array().unwrap().iter().find(|entry| entry["entry"] == "refusal").unwrap();
    assert_eq!((&refusal["fact"], &refusal["reason"]), (&json!("overtaken"), &json!("nearly_through")));
    say(&house, &two, "rollback").await;
    stands(&house, &four, "observing").await;
    say(&house, &four, "cancel").await;
    assert_eq!(house.ended(&four).await["stage"], "cancelled");
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promote_from_the_bus_while_another_is_live_ends_rejected() {
    let (house, _upstreams, two) = while_two_is_live().await;
    let folder = house.stop();
    // As another system would say it: nobody checks it before.
    let event = json!({
        "specversion": "1.0", "id": "build-7", "source": "/ci", "type": "dev.tidegate.version.promote.v1",
        "data": {"version": "3", "requested_by": "ci"},
    });
    slip_in(folder.path(), "tg.in.default.reranker.version.promote", &event).await;
    let house = House::start_in(folder);
    let three = rollout::RolloutId::of("/ci", "build-7");
    let ended = house.ended(three.as_str()).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rejected"), &json!("another_live")));
    assert_eq!(house.get(&format!("/v1/rollouts/{two}")).await.1["stage"], "observing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_about_while_it_waited_is_not_rolled_out_beside_itself() {
    let (house, _upstreams, two) = while_two_is_live().await;
    let again = house.promote("reranker", "2", &json!({ "policy": slow(), "when_live": "queue" })).await;
    stands(&house, &again, "queued").await;
    say(&house, &two, "promote").await;
    assert_eq!(house.ended(&two).await["stage"], "completed");
    let ended = house.ended(&again).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rejected"), &json!("already_active")));
}
