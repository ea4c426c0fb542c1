//! A full disk: a real one of 16 MiB.

use std::sync::Arc;

use serde_json::json;

use super::Parts;
use crate::disk::Disk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_requests_are_answered_a_rollback_works_and_is_recorded_once_there_is_room() {
    let Some(disk) = Disk::mount("16m") else { return };
    let parts = Parts::start_in(Arc::new(disk.folder())).await;
    let id = parts.half("full", json!({})).await;
    let filler = disk.fill();
    let (status, answer) = parts.house.post("/v1/models", &json!({"name": "other", "type": "RERANKER"})).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("the disk of the database is full"), "{answer}");
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(status == 200 || status == 202, "{answer}");
    // What a router's disk has not taken is served, but not confirmed.
    assert_eq!(answer["applied"], json!(status == 200), "{answer}");
    assert_eq!(parts.candidates("full").await, 0);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(parts.house.ended(&id).await["stage"], json!("rolled_back"));
    let (status, answer) = parts.house.post("/v1/models", &json!({"name": "other", "type": "RERANKER"})).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(parts.candidates("full").await, 0);
    assert!(parts.core.clone().stop().await);
    drop((parts, disk));
}
