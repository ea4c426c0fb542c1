//! Gates, pauses and bakes: what waits for people, how long, and what goes on meanwhile; and the actions of a breach.

use serde_json::{Value, json};

use crate::house::{House, Upstream};

async fn ready() -> (House, Upstream) {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    one.observe("cost_usd=0.01");
    (house, two)
}

async fn stands(house: &House, id: &str, stage: &str) -> Value {
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == stage).await
}

fn gated(gate: &Value) -> Value {
    json!({"name": "gated", "steps": [{"split": 5, "dwell": "10m"}, {"split": 50, "dwell": "10m", "gate": gate}, {"split": 100, "dwell": "0s"}]})
}

/// The reminders that a rollout has sent, by stage.
async fn reminders(folder: &std::path::Path, id: &str) -> Vec<String> {
    let store = store::Store::open(folder).await.unwrap();
    let said = store.reader().await.unwrap().rows().said_after(0, "", 10_000).await.unwrap();
    store.close().await;
    let waiting = said.iter().filter(|said| said.subject.ends_with("rollout.waiting"));
    let bodies = waiting.map(|said| serde_json::from_str::<Value>(&said.body).unwrap());
    bodies
        .filter(|event| event["data"]["rollout_id"] == id)
        .map(|event| event["data"]["stage"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_waits_for_another_person_and_says_so() {
    let (house, _two) = ready().await;
    let policy = gated(&json!({"approver_not_requester": true}));
    let id = house.promote("reranker", "2", &json!({ "policy": policy, "requested_by": "rob" })).await;
    stands(&house, &id, "observing").await;
    let say = async |verb: &str, actor: &str| {
        house.post(&format!("/v1/rollouts/{id}/{verb}"), &json!({ "actor": actor, "reason": "as agreed" })).await
    };
    assert_eq!(say("advance", "rob").await.0, 200);
    let waits = stands(&house, &id, "gated").await;
    assert_eq!(
        (&waits["split"]["applied"], &waits["plan"]["steps"][1]["gate"]["expires"]),
        (&json!(500), &json!("1day"))
    );
    let (status, refused) = say("approve", "rob").await;
    assert!(status == 409 && refused["detail"].as_str().unwrap().contains("may not approve it"), "{refused}");
    assert_eq!(say("approve", "ann").await.0, 200);
    let passed = house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["split"]["applied"] == 5_000).await;
    assert_eq!(passed["step"], 1);
    assert_eq!(say("pause", "ann").await.0, 200);
    assert_eq!(say("pause", "ann").await.0, 200, "saying it again does nothing");
    assert_eq!(stands(&house, &id, "paused").await["split"]["applied"], 5_000);
    assert_eq!(say("resume", "ann").await.0, 200);
    assert_eq!(say("rollback", "ann").await.0, 200);
    house.ended(&id).await;
    let folder = house.stop();
    assert_eq!(reminders(folder.path(), &id).await, ["gated", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_nobody_opens_and_a_pause_that_nobody_ends_turn_back() {
    let (house, _two) = ready().await;
    let id = house.promote("reranker", "2", &json!({ "policy": gated(&json!({"expires": "1s"})) })).await;
    stands(&house, &id, "observing").await;
    assert_eq!(house.post(&format!("/v1/rollouts/{id}/advance"), &json!({})).await.0, 200);
    let ended = house.ended(&id).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rolled_back"), &json!("gate_expired")));

    let mut policy = gated(&json!(true));
    policy["pause_limit"] = json!("1s");
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    stands(&house, &id, "observing").await;
    assert_eq!(house.post(&format!("/v1/rollouts/{id}/pause"), &json!({})).await.0, 200);
    let ended = house.ended(&id).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rolled_back"), &json!("pause_expired")));
}

/// Two checks of the whole step, looked at each 5 s; what they lead to differs.
fn judged(bake: &str, dwell: &str) -> Value {
    let check = |metric: &str, gte: f64, action: &str| json!({"metric": metric, "rules": {"gte": gte}, "action": action, "min_samples": 20, "interval": "5s", "window": "step"});
    json!({"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "10m", "bake": bake,
        "steps": [{"split": 50, "dwell": dwell}, {"split": 100, "dwell": "0s"}],
        "checks": [check("avg_cost_usd", 0.1, "hold"), check("broken_rate", 0.2, "rollback")]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_that_holds_blocks_the_promotion_and_one_that_rolls_back_ends_it() {
    let (house, two) = ready().await;
    two.observe("cost_usd=0.15, broken=0");
    let traffic = crate::traffic::start(&house, "reranker");
    let id = house.promote("reranker", "2", &json!({ "policy": judged("0s", "5s") })).await;
    let path = format!("/v1/rollouts/{id}");
    let held = house
        .until(&path, |rollout| {
            rollout["verdict"]["action"] == "hold" && rollout["verdict"]["tick"].as_u64() >= Some(3)
        })
        .await;
    assert_eq!(
        (&held["stage"], &held["step"], &held["split"]["applied"]),
        (&json!("observing"), &json!(0), &json!(5_000))
    );
    assert!(held["issues"][0].as_str().unwrap().starts_with("avg_cost_usd too high"), "{held}");
    two.observe("cost_usd=0.15, broken=1");
    let ended = house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back");
    let issues = ended["issues"].to_string();
    assert!(issues.contains("broken_rate too high") && issues.contains("avg_cost_usd too high"), "{issues}");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_while_it_bakes_turns_back() {
    let (house, two) = ready().await;
    two.observe("cost_usd=0.01, broken=0");
    let traffic = crate::traffic::start(&house, "reranker");
    let id = house.promote("reranker", "2", &json!({ "policy": judged("10m", "10m") })).await;
    stands(&house, &id, "observing").await;
    assert_eq!(house.post(&format!("/v1/rollouts/{id}/promote"), &json!({})).await.0, 200);
    let baking = stands(&house, &id, "baking").await;
    assert_eq!(baking["split"]["desired"], 10_000);
    two.observe("cost_usd=0.01, broken=1");
    let ended = house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back");
    assert!(ended["reason"].as_str().unwrap().starts_with("breach: broken_rate"), "{}", ended["reason"]);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}
