//! Somebody else writes into the bucket that routers follow.

use std::time::{Duration, Instant};

use ::chassis::{Bucket, Entry};
use rollout::{Direction, Route, Share};
use serde_json::{Value, json};

use super::Parts;

/// Seen, restored and recorded by then.
const SOON: Duration = Duration::from_secs(1);

impl Parts {
    fn entry(&self, model: &str) -> Entry {
        self.core.bus.watch(Bucket::Route).borrow()[&format!("default.{model}")].clone()
    }

    fn served(&self, model: &str) -> Route {
        serde_json::from_str(&self.entry(model).value).unwrap()
    }

    /// Writes into the bucket as nobody of ours does.
    async fn overwrite(&self, model: &str, value: &str) {
        self.core.bus.set(Bucket::Route, &format!("default.{model}"), value.to_owned()).await.unwrap();
    }

    async fn change(&self, model: &str, change: impl FnOnce(&mut Route)) -> Route {
        let mut route = self.served(model);
        change(&mut route);
        self.overwrite(model, &serde_json::to_string(&route).unwrap()).await;
        route
    }

    /// Waits until the bucket holds what is asked for; gives how long that took.
    async fn until_served(&self, model: &str, is_it: impl Fn(&Route) -> bool) -> Duration {
        let since = Instant::now();
        let mut values = self.core.bus.watch(Bucket::Route);
        let restored = async {
            while !serde_json::from_str(&self.entry(model).value).is_ok_and(|route| is_it(&route)) {
                values.changed().await.unwrap();
            }
        };
        tokio::time::timeout(crate::house::LIMIT, restored).await.expect("it is restored");
        since.elapsed()
    }

    fn counted(&self, line: &str) -> bool {
        self.core.metrics.counters().contains(line)
    }

    async fn rollout(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.house.until(&format!("/v1/rollouts/{id}"), is_so).await
    }
}

/// The candidate gets everything.
fn everything(route: &mut Route) {
    route.arms[0].basis_points = Share::WHOLE;
    route.arms[1].basis_points = Share::ZERO;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_value_that_routers_refuse_is_put_right_at_once_counted_and_recorded() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    let wish = parts.served("reranker");
    assert!(parts.counted(r#"tidegate_target_drift_total{kind="router"} 0"#));
    parts.change("reranker", |route| route.generation -= 1).await;
    assert!(parts.until_served("reranker", |route| *route == wish).await < SOON);
    parts.overwrite("reranker", "by hand").await;
    assert!(parts.until_served("reranker", |route| *route == wish).await < SOON);
    parts.house.until(&format!("/v1/rollouts/{id}/history"), |page| drifts(page) == 2).await;
    let rollout = parts.rollout(&id, |_| true).await;
    assert_eq!((&rollout["stage"], &rollout["step"]), (&json!("observing"), &json!(0)), "{rollout}");
    assert!(parts.counted(r#"tidegate_target_drift_total{kind="router"} 2"#));
    assert!(parts.core.stop().await);
}

/// The drifts in a history.
fn drifts(page: &Value) -> usize {
    page["items"].as_array().unwrap().iter().filter(|entry| entry["fact"] == "route_drifted").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_route_of_a_higher_generation_is_overtaken_and_its_step_starts_again() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    let before = parts.rollout(&id, |_| true).await;
    let foreign = parts.change("reranker", |route| {
        route.generation += 1_000;
        everything(route);
    });
    let foreign = foreign.await;
    let took = parts.until_served("reranker", |route| route.generation > foreign.generation).await;
    assert!(took < SOON, "overtaken after {took:?}");
    let wish = parts.served("reranker");
    assert_eq!(wish.arms[0].basis_points.basis_points(), 5_000);
    let anew = parts
        .rollout(&id, |now| now["stage"] == "observing" && now["version"].as_i64() > before["version"].as_i64())
        .await;
    assert!(
        anew["applied_at"].as_str() > before["applied_at"].as_str(),
        "its clock starts again: {before}, then {anew}"
    );
    let candidates = parts.candidates("reranker").await;
    assert!((1..40).contains(&candidates), "{candidates} of 40 sessions");
    assert!(parts.counted(r#"tidegate_target_drift_total{kind="router"} 1"#));
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_no_rollout_moves_any_more_is_overtaken_too() {
    let parts = Parts::start().await;
    parts.house.serves("reranker", "1", &parts.one.url).await;
    parts.house.version("reranker", "2", &parts.two.url).await;
    parts.until_served("reranker", |route| route.rollout_id.is_none()).await;
    let wish = parts.served("reranker");
    let foreign = parts
        .change("reranker", |route| {
            route.generation += 7;
            route.arms[0].upstream.clone_from(&parts.two.url);
        })
        .await;
    parts.until_served("reranker", |route| route.generation > foreign.generation).await;
    let served = parts.served("reranker");
    assert_eq!(Route { generation: wish.generation, ..served }, wish);
    let since = Instant::now();
    while parts.house.ask("reranker", "s-1").await != (200, "1".to_owned()) {
        assert!(since.elapsed() < crate::house::LIMIT, "the former upstream does not answer");
    }
    let id = parts.house.promote("reranker", "2", &json!({"policy": "activate"})).await;
    assert_eq!(parts.house.ended(&id).await["stage"], "completed", "the next rollout goes on above it");
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_rollout_is_overtaken_without_a_candidate_until_somebody_resumes() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    parts.house.post(&format!("/v1/rollouts/{id}/pause"), &json!({})).await;
    parts.rollout(&id, |now| now["stage"] == "paused").await;
    let foreign = parts.change("reranker", |route| route.generation += 1).await;
    parts.until_served("reranker", |route| route.generation > foreign.generation).await;
    parts.back("reranker").await;
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/resume"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{answer}");
    parts.rollout(&id, |now| now["stage"] == "observing").await;
    assert!(parts.candidates("reranker").await > 0);
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_route_in_the_way_of_a_retreat_is_overtaken() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({"on_drift": "hold"})).await;
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{answer}");
    // It comes while the retreat is on its way, or after its end: neither leaves it there.
    let foreign = parts.change("reranker", |route| {
        route.generation += 50;
        route.direction = Direction::Forward;
        route.rollout_id = None;
    });
    let foreign = foreign.await;
    parts.until_served("reranker", |route| route.generation > foreign.generation).await;
    assert_eq!(parts.house.ended(&id).await["stage"], "rolled_back");
    parts.back("reranker").await;
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_on_drift_hold_a_foreign_value_stays_and_the_rollout_waits_for_a_person() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({"on_drift": "hold"})).await;
    let foreign = parts.change("reranker", |route| {
        route.generation += 3;
        route.arms[0].basis_points = Share::ZERO;
        route.arms[1].basis_points = Share::WHOLE;
    });
    let foreign = foreign.await;
    let paused = parts.rollout(&id, |now| now["stage"] == "paused").await;
    assert!(paused["reason"].as_str().unwrap().starts_with("route_drifted: "), "{paused}");
    parts.back("reranker").await;
    // Once it has been so for 15 s it is shown.
    let shown = parts.rollout(&id, |now| now["split"]["drifted_since"].is_string()).await;
    assert_eq!(shown["stage"], "paused", "{shown}");
    assert_eq!(parts.served("reranker"), foreign, "it is left as it was found");
    assert!(parts.counted("tidegate_targets_drifted 1"));
    parts.house.post(&format!("/v1/rollouts/{id}/resume"), &json!({})).await;
    let anew = parts.rollout(&id, |now| now["stage"] == "observing" && now["split"]["drifted_since"].is_null()).await;
    assert_eq!(anew["step"], 0, "{anew}");
    assert!(parts.served("reranker").generation > foreign.generation);
    assert!(parts.candidates("reranker").await > 0);
    assert!(parts.counted("tidegate_targets_drifted 0"));
    assert!(parts.core.stop().await);
}
