//! The stop road: a rollback with the database stalled, and with not even reads of it.

use std::sync::Arc;
use std::time::Instant;

use chassis::{Roster, Stamped, Trace};
use proto::RolloutCommand;
use proto::serving::Held;
use rollout::{Model, RolloutId, Tenant, Verb};
use serde_json::json;

use super::Parts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_takes_the_traffic_back_while_the_database_is_stalled_and_is_recorded_later() {
    let parts = Parts::start().await;
    let id = parts.half("stalled", json!({})).await;
    let stalled = parts.core.store.begin().await.unwrap();
    let (status, answer) =
        parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "it is slow"})).await;
    assert_eq!((status, &answer["applied"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["rollout"]["id"], json!(id));
    assert_eq!(parts.candidates("stalled").await, 0);
    assert!(parts.core.metrics.counters().contains(r#"tidegate_stops_total{road="memory"} 1"#));
    drop(stalled);
    let ended = parts.house.ended(&id).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rolled_back"), &json!("rollback: it is slow")));
    assert_eq!(parts.candidates("stalled").await, 0);
    assert_eq!(parts.facts(&id).await.iter().filter(|fact| *fact == "commanded").count(), 1, "recorded once");
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_needs_not_even_reads_of_the_database() {
    let parts = Parts::start().await;
    let id = parts.half("blind", json!({})).await;
    let stalled = parts.core.store.begin().await.unwrap();
    let mut readers = Vec::new();
    while let Ok(Ok(reader)) =
        tokio::time::timeout(std::time::Duration::from_millis(500), parts.core.store.page()).await
    {
        readers.push(reader);
    }
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert_eq!((status, &answer), (200, &json!({"applied": true})));
    assert_eq!(parts.candidates("blind").await, 0);
    let (status, answer) = parts.house.post("/v1/rollouts/unknown/rollback", &json!({})).await;
    assert_eq!(status, 503, "{answer}");
    drop((stalled, readers));
    assert_eq!(parts.house.ended(&id).await["stage"], json!("rolled_back"));
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_with_everything_alive_is_recorded_before_it_is_answered() {
    let parts = Parts::start().await;
    let id = parts.half("alive", json!({})).await;
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/cancel"), &json!({})).await;
    assert!(status == 200 || status == 202, "{answer}");
    assert_eq!(parts.candidates("alive").await, 0);
    assert_eq!(parts.house.ended(&id).await["stage"], json!("cancelled"));
    assert!(parts.core.metrics.counters().contains("tidegate_stops_total{road="), "{}", parts.core.metrics.counters());
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_never_recorded_turns_the_rollout_back_all_the_same() {
    stopped_without_a_record("24h").await;
}

/// The router refuses the route of the next step, and goes on to hold that of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_never_recorded_turns_the_rollout_back_in_its_next_step_too() {
    stopped_without_a_record("2s").await;
}

async fn stopped_without_a_record(dwell: &str) {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let parts = Parts::start_in(Arc::clone(&folder)).await;
    let steps = json!([{"split": 50, "dwell": dwell}, {"split": 60, "dwell": "24h"}, {"split": 100, "dwell": "0s"}]);
    let id = parts.half("reranker", json!({ "steps": steps })).await;
    let Parts { core, house, one: _one, two: _two } = parts;
    drop(house);
    assert!(core.stop().await);
    // Only the router hears it.
    let parts = Parts::without_services(folder).await;
    let roster = Roster::new(&parts.core.bus);
    let is_held = || {
        let words = roster.words(parts.core.clock.now(), "default.reranker");
        words.iter().any(|(_, word)| word.is_some_and(|word| word.held == Some(Held::Stopped)))
    };
    parts.stopped_until(&id, is_held).await;
    parts.serve();
    parts.turns_back(&id).await;
}

/// The router has no route of the rollout yet that it could hold: it refuses the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_never_recorded_turns_the_rollout_back_before_its_first_step_too() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let parts = Parts::start_in(Arc::clone(&folder)).await;
    parts.house.serves("reranker", "1", &parts.one.url).await;
    parts.house.version("reranker", "2", &parts.two.url).await;
    let Parts { core, house, one: _one, two: _two } = parts;
    drop(house);
    assert!(core.stop().await);
    let parts = Parts::without_services(Arc::clone(&folder)).await;
    registry_writer::serve(&parts.core);
    stage_scheduler::serve(&parts.core);
    traffic_updater::serve(&parts.core);
    let policy = json!({"name": "half", "steps": [{"split": 50, "dwell": "24h"}, {"split": 100, "dwell": "0s"}]});
    let id = parts.house.promote("reranker", "2", &json!({ "policy": policy })).await;
    let saved =
        || ["routes.json", "routes.log"].map(|name| std::fs::read_to_string(folder.path().join("router").join(name)));
    parts.stopped_until(&id, || saved().into_iter().flatten().any(|text| text.contains(&id))).await;
    // Until now nobody has said that the candidate is ready.
    deployer::serve(&parts.core);
    parts.turns_back(&id).await;
}

impl Parts {
    /// Says a stop that nobody records, until it is heard: the router may not listen yet.
    async fn stopped_until(&self, id: &str, is_heard: impl Fn() -> bool) {
        let command = RolloutCommand {
            tenant: Tenant::default_tenant(),
            model: Model::new("reranker").unwrap(),
            rollout_id: RolloutId::new(id).unwrap(),
            verb: Verb::Rollback,
            owner: "local".to_owned(),
            actor: None,
            reason: None,
            if_version: None,
        };
        let since = Instant::now();
        while !is_heard() {
            assert!(since.elapsed() < crate::house::LIMIT, "the router does not hear it");
            let stamped = Stamped { service: "api", at: self.core.clock.now(), trace: &Trace::from_parent(None) };
            self.core.bus.stop(&stamped, "cmd.1", &command).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn turns_back(self, id: &str) {
        let ended = self.house.ended(id).await;
        assert_eq!(ended["stage"], "rolled_back", "{ended}");
        assert!(ended["reason"].as_str().unwrap().starts_with("stopped: held by "), "{ended}");
        assert_eq!(self.candidates("reranker").await, 0);
        assert!(self.core.stop().await);
    }
}
