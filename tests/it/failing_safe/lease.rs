//! The dead-man lease: without a beat the candidate is gone, and comes back only by a decision.

use std::process::Command;
use std::sync::Arc;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_while_the_disk_of_the_router_hangs() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let parts = Parts::start_in(Arc::clone(&folder)).await;
    parts.half("leased", json!({"lease": "15s"})).await;
    let saved = parts.half("saved", json!({"lease": "off"})).await;
    // Whoever opens a pipe waits for its other end.
    let log = folder.path().join("router/routes.log");
    std::fs::remove_file(&log).unwrap();
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{saved}/rollback"), &json!({})).await;
    assert_eq!((status, &answer["applied"]), (202, &json!(false)), "no router has it on its disk: {answer}");
    // The database takes no commit, so nothing beats.
    let stalled = parts.core.store.begin().await.unwrap();
    parts.back("leased").await;
    drop(stalled);
    let hung = log.clone();
    let reader = tokio::task::spawn_blocking(move || std::fs::File::open(hung)).await.unwrap().unwrap();
    std::fs::remove_file(log).unwrap();
    assert_eq!(parts.house.ended(&saved).await["stage"], json!("rolled_back"), "it goes on with a disk that answers");
    drop(reader);
    assert!(parts.core.stop().await);
}
