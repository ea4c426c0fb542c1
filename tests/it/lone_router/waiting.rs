//! Whom a split waits for: a router that says nothing may serve all the same.

use std::time::Duration;

use super::*;

/// Two routers that serve half of the sessions with the candidate, on this lease.
async fn two_at_half(house: &House, lease: &str) -> (Lone, Lone, (Upstream, Upstream), String) {
    let (a, b) = (Lone::start("a", &house.api), Lone::start("b", &house.api));
    for name in ["a", "b"] {
        until_router(house, name, "live").await;
    }
    let models = served_by(&[&a, &b], house).await;
    let policy = json!({"name": "half", "lease": lease,
        "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    (a, b, models, id)
}

/// How often a split could not be applied.
fn failures(history: &Value) -> usize {
    history["items"].as_array().unwrap().iter().filter(|entry| entry["fact"] == "split_failed").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forward_split_waits_for_a_router_that_was_there_before_a_restart() {
    let house = House::start_without_router();
    let (a, b) = (Lone::start("a", &house.api), Lone::start("b", &house.api));
    for name in ["a", "b"] {
        until_router(&house, name, "live").await;
    }
    let _models = served_by(&[&a, &b], &house).await;
    let three = Upstream::start("3").await;
    let id = house.promote("reranker", "2", &json!({ "policy": steps(&[50], "3s") })).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    house.version("reranker", "3", &three.url).await;
    let ruin = house.killed();
    // It serves what it has, and can't be asked.
    b.signal("STOP");
    let since = Instant::now();
    let house = ruin.started();
    until_router(&house, "a", "live").await;
    let id = house.promote("reranker", "3", &json!({ "policy": steps(&[50], "1h") })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert!(since.elapsed() >= Duration::from_secs(14), "applied without b after {:?}", since.elapsed());
    b.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retreat_is_confirmed_within_two_seconds_of_a_routers_return() {
    let house = House::start_without_router();
    let (_a, b, _models, id) = two_at_half(&house, "300s").await;
    b.signal("STOP");
    house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    // Said after 0, 1, 3 and 7 s, and next after 15 s.
    house.until(&format!("/v1/rollouts/{id}/history"), |history| failures(history) >= 4).await;
    b.signal("CONT");
    let since = Instant::now();
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    assert!(since.elapsed() < Duration::from_secs(3), "confirmed after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lease_a_retreat_waits_for_a_vanished_router_until_it_comes_back() {
    let house = House::start_without_router();
    let (_a, b, _models, id) = two_at_half(&house, "off").await;
    let folder = b.killed();
    house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    until_router(&house, "b", "vanished").await;
    let path = format!("/v1/rollouts/{id}/history");
    let before = failures(&house.get(&path).await.1);
    house.until(&path, |history| failures(history) > before).await;
    assert_eq!(house.get(&format!("/v1/rollouts/{id}")).await.1["stage"], "retreating");
    let _b = Lone::start_in(folder, ("b", &house.api), Stdio::inherit());
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
}
