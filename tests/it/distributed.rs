//! The distributed form: every service in a process of its own, one nats-server, one PostgreSQL. The router has no database.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::house::{House, Upstream};
use crate::traffic;

mod cluster;
mod doctor;
mod full;
mod gone;
mod kills;
mod many;
mod outages;
mod outside;
mod plant;
mod points;
mod process;
mod replicas;
mod roles;
mod setup;
mod stalled;
mod story;
mod twice;

use plant::{Plant, secret};
use process::command;

/// Two model servers, the first of which serves.
async fn served(house: &House) -> [Upstream; 2] {
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    upstreams
}

fn judged_by(check: &str) -> Value {
    json!({"policy": {"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": check, "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]}})
}

/// Steps without a judge, of so many percent each, for as long each.
fn steps(splits: &[u32], dwell: &str) -> Value {
    let steps = splits.iter().map(|split| json!({"split": split, "dwell": dwell}));
    let last = std::iter::once(json!({"split": 100, "dwell": "0s"}));
    json!({"policy": {"name": "steps", "steps": steps.chain(last).collect::<Vec<_>>()}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_their_own_promote_a_version_that_does_well() {
    let plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("error_rate")).await;
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(plant.house.ask("reranker", "s").await, (200, "2".to_owned()));
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_their_own_turn_back_from_a_version_that_does_badly() {
    let plant = Plant::start().await;
    let upstreams = served(&plant.house).await;
    upstreams[1].observe("hallucination=1");
    upstreams[0].observe("hallucination=0");
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("hallucination_rate")).await;
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    assert_eq!(plant.house.ask("reranker", "s").await, (200, "1".to_owned()));
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_survives_the_death_of_every_service_and_of_the_server() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("error_rate")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    // Whoever asks a router notices its death; nobody else's.
    for process in plant.processes.iter_mut().filter(|process| process.name != "router") {
        process.killed_and_started();
        process.until_ready(&plant.house.client).await;
    }
    plant.nats.kill();
    plant.nats.start_again();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_the_traffic_back_while_the_other_services_are_dead() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let slow = json!({"policy": {"name": "slow", "steps": [{"split": 100, "dwell": "10m"}]}});
    let id = plant.house.promote("reranker", "2", &slow).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert_eq!(plant.house.ask("reranker", "s").await.1, "2");
    for process in plant.processes.iter_mut().filter(|process| !["api", "router"].contains(&process.name)) {
        process.kill();
    }
    let (status, said) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    // It is not recorded that the rollout has turned back: nobody is there to do that.
    assert_eq!((status, &said["applied"]), (202, &json!(false)), "{said}");
    assert_eq!(plant.house.ask("reranker", "s").await.1, "1");
    for process in plant.processes.iter_mut().filter(|process| !["api", "router"].contains(&process.name)) {
        process.start_again();
    }
    assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[test]
fn a_process_of_its_own_says_all_that_it_lacks() {
    for (name, lacks) in [("analyzer", 2), ("router", 1)] {
        let out = command(name).env("TIDEGATE_LOG", "info").stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!((out.status.code(), said.matches(": is missing").count()), (Some(1), lacks), "{said}");
    }
}
