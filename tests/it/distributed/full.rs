//! A server's disk is full (F25): a real one, of nats-server and then of PostgreSQL.

use std::path::PathBuf;

use serde_json::json;

use super::plant::{Plant, SETTINGS};
use super::{served, steps};
use crate::disk::Disk;
use crate::house::eventually;
use crate::nats::Nats;
use crate::witness::Witness;
use servers::Postgres;

/// A rollout that gives everything to the candidate, and is then taken back while a disk is full.
async fn taken_back(plant: &Plant, fill: impl AsyncFnOnce() -> PathBuf) -> (String, PathBuf) {
    let id = plant.promote("2", &steps(&[100], "1h")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert_eq!(plant.house.ask("reranker", "s").await.1, "2");
    let filler = fill().await;
    let (status, answer) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{answer}");
    eventually("the candidate is gone", async || plant.house.ask("reranker", "s").await.1 == "1").await;
    (id, filler)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_servers_on_a_full_disk_take_nothing_for_stored_and_go_on_once_there_is_room() {
    let (Some(of_nats), Some(of_postgres)) = (Disk::mount("64m"), Disk::mount("160m")) else { return };
    let servers = (Nats::start_in(of_nats.folder()), Postgres::start_in(of_postgres.folder(), SETTINGS));
    let (mut plant, witness) = (Plant::over(servers, 1, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);

    let (id, filler) = taken_back(&plant, async || of_nats.fill()).await;
    // What nobody can be told yet is kept.
    let (status, answer) = plant.house.post("/v1/models", &json!({"name": "other", "type": "RERANKER"})).await;
    // The last page of a file may have room for it.
    assert!(matches!(status, 201 | 503), "{answer}");
    std::fs::remove_file(filler).unwrap();
    // A nats-server that could not write takes no messages until it is started again.
    plant.nats.kill();
    plant.nats.start_again();
    assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
    plant.house.until("/v1/models/other", |model| model["name"] == "other").await;

    let (id, filler) = taken_back(&plant, async || {
        let filler = of_postgres.fill();
        eventually("the full disk is named", async || {
            let model = json!({"name": format!("m{}", uuid::Uuid::new_v4().simple()), "type": "RERANKER"});
            let (status, answer) = plant.house.post("/v1/models", &model).await;
            status == 503 && answer.to_string().contains("disk of the database is full")
        })
        .await;
        filler
    })
    .await;
    std::fs::remove_file(filler).unwrap();
    if plant.postgres.has_ended() {
        plant.postgres.start_again();
    }
    assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}
