//! The dead-man lease at routers of their own: with the control plane dead the candidate is gone when it ends, and a router that
//! vanished may serve the candidate until then.

use std::time::Duration;

use super::*;

/// The shortest that a policy may ask for.
const LEASE: Duration = Duration::from_secs(15);

/// Half of the sessions, for as long as the test takes.
fn half() -> Value {
    json!({"name": "half", "lease": "15s", "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]})
}

/// How many of forty sessions the candidate answers; every one is answered.
async fn candidates(lone: &Lone, client: &reqwest::Client) -> usize {
    let mut candidates = 0;
    for session in 0..40 {
        let (status, version) = lone.ask(client, session).await;
        assert_eq!(status, 200);
        candidates += usize::from(version == "2");
    }
    candidates
}

async fn generation(house: &House) -> i64 {
    house.get("/internal/routes").await.1["routes"]["default.reranker"]["generation"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_control_plane_dead_the_share_is_0_when_the_lease_ends_and_the_step_starts_anew_afterwards() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    let id = house.promote("reranker", "2", &json!({ "policy": half() })).await;
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;
    let (before, client) = (generation(&house).await, house.client.clone());
    assert!(candidates(&a, &client).await > 5);
    let ruin = house.killed();
    let (killed, mut last_seen) = (Instant::now(), Duration::ZERO);
    loop {
        let began = killed.elapsed();
        if candidates(&a, &client).await == 0 {
            break;
        }
        assert!(began < LIMIT, "the candidate still answers");
        last_seen = began;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(last_seen <= LEASE + Duration::from_secs(2), "the candidate answered {last_seen:?} after the death");
    let house = ruin.started();
    house.until(&format!("{path}/history"), |history| history.to_string().contains("lease_expired")).await;
    let rollout = house.until(&path, |rollout| rollout["stage"] == "observing").await;
    assert_eq!(rollout["step"], 0, "{rollout}");
    let since = Instant::now();
    while candidates(&a, &client).await == 0 {
        assert!(since.elapsed() < LIMIT, "the step did not start anew");
    }
    assert!(generation(&house).await > before);
}

/// Two routers that serve half of the sessions with the candidate of this rollout.
async fn two_observing(house: &House) -> (Lone, Lone, (Upstream, Upstream), String) {
    let (a, b) = (Lone::start("a", &house.api), Lone::start("b", &house.api));
    for name in ["a", "b"] {
        until_router(house, name, "live").await;
    }
    let models = served_by(&[&a, &b], house).await;
    let id = house.promote("reranker", "2", &json!({ "policy": half() })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    (a, b, models, id)
}

/// Takes the rollout back, and gives how long it took until that was confirmed.
async fn rolled_back(house: &House, a: &Lone, id: &str) -> Duration {
    let since = Instant::now();
    let (status, body) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "enough"})).await;
    assert!(matches!(status, 200 | 202), "{status} {body}");
    while candidates(a, &house.client).await > 0 {
        assert!(since.elapsed() < LIMIT, "the retreat is not served");
    }
    assert_eq!(house.ended(id).await["stage"], "rolled_back");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retreat_waits_for_the_lease_of_a_router_that_vanished() {
    let house = House::start_without_router();
    let (a, b, _models, id) = two_observing(&house).await;
    drop(b.killed());
    let took = rolled_back(&house, &a, &id).await;
    // It is known to be dead after 15 s; its last word was up to 5 s before its end.
    assert!(took >= LEASE + Duration::from_secs(5), "confirmed after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retreat_does_not_wait_for_a_router_that_left() {
    let house = House::start_without_router();
    let (a, b, _models, id) = two_observing(&house).await;
    b.stop();
    until_router(&house, "b", "left").await;
    let took = rolled_back(&house, &a, &id).await;
    assert!(took < LEASE + Duration::from_secs(10), "confirmed after {took:?}");
}
