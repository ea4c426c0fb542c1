//! The dead-man lease: without a beat the candidate is gone, and comes back only by a decision.

use serde_json::json;

use super::Parts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_beat_the_candidate_is_gone_after_its_lease_and_comes_back_only_by_a_decision() {
    let parts = Parts::start().await;
    let resumes = parts.half("resumes", json!({"lease": "15s"})).await;
    let returns = parts.half("returns", json!({"lease": "15s", "on_lease_expired": "rollback"})).await;
    let alone = parts.half("alone", json!({"lease": "off"})).await;
    // The database takes no commit, so nothing beats.
    let stalled = parts.core.store.begin().await.unwrap();
    parts.back("resumes").await;
    parts.back("returns").await;
    assert!(parts.candidates("alone").await > 0, "a policy without a lease keeps its split");
    drop(stalled);
    let anew = parts
        .house
        .until(&format!("/v1/rollouts/{resumes}"), |rollout| {
            rollout["stage"] == "observing" && rollout["version"].as_i64() > Some(3)
        })
        .await;
    assert!(parts.facts(&resumes).await.contains(&"lease_expired".to_owned()), "{anew}");
    assert!(parts.candidates("resumes").await > 0, "the step starts again");
    let ended = parts.house.ended(&returns).await;
    assert_eq!((&ended["stage"], &ended["reason"]), (&json!("rolled_back"), &json!("lease_expired")));
    assert_eq!(parts.candidates("returns").await, 0);
    assert!(!parts.facts(&alone).await.contains(&"lease_expired".to_owned()));
    assert!(
        parts.core.metrics.counters().contains("tidegate_lease_expired_total 2"),
        "{}",
        parts.core.metrics.counters()
    );
    assert!(parts.core.stop().await);
}
