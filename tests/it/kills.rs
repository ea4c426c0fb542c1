//! `kill -9` of `tidegate up` at random points of rollouts under traffic (F11): nothing is lost, doubled, early, or forward after a
//! retreat.

use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::violations;
use crate::house::{House, Upstream};

/// Kills in one run.
const KILLS: u32 = 50;

fn quick_plan() -> Value {
    json!({"name": "quick", "steps": [
        {"split": 25, "dwell": "400ms"}, {"split": 50, "dwell": "400ms"}, {"split": 100, "dwell": "0s"}]})
}

/// With ticks, verdicts and a ledger, so that kills meet the analyzer too.
fn judged_plan() -> Value {
    json!({"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]})
}

/// A fixed sequence, printed with the failure, so that a failing run can be looked at again.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_at_random_points_lose_double_and_hasten_nothing() {
    let seed_of_run = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    println!("TIDEGATE_SEED={seed_of_run}");
    let mut seed: u64 = seed_of_run;
    let mut house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let (mut kills, mut serving, mut candidate) = (0, "1", "2");
    while kills < KILLS {
        let judged = draw(&mut seed, 5) == 0;
        let policy = if judged { judged_plan() } else { quick_plan() };
        let id = house.promote("reranker", candidate, &json!({ "policy": policy })).await;
        let (turned_back, mut heard) = (draw(&mut seed, 3) == 0, false);
        for kill in 0..=draw(&mut seed, 3) {
            let traffic = crate::traffic::start(&house, "reranker");
            tokio::time::sleep(Duration::from_millis(draw(&mut seed, if judged { 5_000 } else { 700 }))).await;
            if turned_back && kill == 0 {
                let request = house.client.post(format!("{}/v1/rollouts/{id}/rollback", house.api));
                let limit = Duration::from_millis(draw(&mut seed, 40) + 1);
                // An answer that never came says nothing; one that came is a promise.
                heard = request.timeout(limit).send().await.is_ok_and(|answer| answer.status().is_success());
            }
            house = house.killed_and_started();
            traffic.stop().await;
            kills += 1;
        }
        // A judged step needs requests for its proof.
        let traffic = crate::traffic::start(&house, "reranker");
        let ended = house.ended(&id).await;
        traffic.stop().await;
        let stage = ended["stage"].as_str().unwrap();
        let is_back = matches!(stage, "rolled_back" | "cancelled");
        assert!(stage == "completed" && !heard || turned_back && is_back, "{id} ended {stage}, heard {heard}: {ended}");
        if stage == "completed" {
            std::mem::swap(&mut serving, &mut candidate);
        }
        house.until("/v1/models/reranker", |model| model["active"] == serving).await;
        for session in 0..20 {
            assert_eq!(
                house.ask("reranker", &format!("s-{session}")).await,
                (200, serving.to_owned()),
                "after {id} ended {stage}"
            );
        }
    }
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}
