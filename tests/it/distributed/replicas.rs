//! Replicas that are held, told to end and replaced (F4, F5, F10, F30): whoever is left goes on, and users notice nothing.

use std::time::Duration;

use super::plant::{Plant, SERVICES};
use super::{judged_by, served, steps};
use crate::witness::Witness;

/// One of two replicas of each service is killed in turn, so often.
const TURNS: usize = 48;
const TURN: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_replicas_that_die_in_turn_each_200_ms_stop_nothing() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[25, 50, 75], "1s")).await;
    for turn in 0..TURNS {
        plant.one(SERVICES[turn % SERVICES.len()], turn / SERVICES.len() % 2).killed_and_started();
        tokio::time::sleep(TURN).await;
    }
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    plant.until_ready().await;
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_and_f30_replicas_that_are_held_are_replaced_and_lose_when_they_go_on() {
    let (plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    for (candidate, held) in [("2", 0), ("1", 1)] {
        let id = plant.promote(candidate, &judged_by("error_rate")).await;
        let path = format!("/v1/rollouts/{id}");
        // The first is held with whatever it has in hand: a step, a wish that it has read and not written, a tick.
        plant.house.until(&path, |rollout| rollout["stage"] == "shifting" || rollout["stage"] == "observing").await;
        let is_held = |name: &str, replica: usize| replica == held && name != "router" && name != "api";
        let of_these = plant.processes.iter().filter(|process| is_held(process.name, process.replica));
        of_these.for_each(|process| process.signal("STOP"));
        let ended = plant.house.ended(&id).await;
        assert_eq!(ended["stage"], "completed", "{ended}");
        let of_these = plant.processes.iter().filter(|process| is_held(process.name, process.replica));
        of_these.for_each(|process| process.signal("CONT"));
        plant.house.until("/v1/models/reranker", |model| model["active"] == candidate).await;
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_is_replaced_in_mid_rollout_without_a_failed_request() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[10, 20, 30, 40, 50, 60, 70, 80], "1s")).await;
    for name in SERVICES {
        for replica in 0..2 {
            plant.end(|process| process.name == name && process.replica == replica);
            plant.one(name, replica).start_again();
            plant.until_ready().await;
        }
    }
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_all_are_told_to_end_under_load_and_leave_nothing_half_done() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let id = plant.promote("2", &steps(&[25, 50, 75], "1s")).await;
    for _ in 0..3 {
        let users = plant.users(&witness);
        tokio::time::sleep(Duration::from_millis(800)).await;
        // With exit code 0, within 10 s.
        plant.end(|_| true);
        plant.processes.iter_mut().for_each(super::process::Process::start_again);
        plant.until_ready().await;
        // Meanwhile there was no router.
        users.stop().await;
    }
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routers_choose_the_same_arm_for_each_session() {
    let plant = Plant::of(2, &[]).await;
    let _upstreams = served(&plant.house).await;
    let id = plant.promote("2", &steps(&[30], "10m")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let mut candidates = 0;
    for session in 0..300 {
        let session = format!("s-{session}");
        let (first, second) = (plant.ask_at(0, &session).await, plant.ask_at(1, &session).await);
        assert_eq!(first, second, "{session}");
        candidates += usize::from(first == "2");
    }
    // 30 % of 300, with five standard deviations.
    assert!((50..130).contains(&candidates), "{candidates}");
    plant.stop();
}
