//! Rollouts that are judged by evidence, with real traffic: proof passes a step, odds take a version back, and the ledger gives every
//! verdict again.

use serde_json::json;

use crate::cli_only::tidegate;
use crate::house::{House, Upstream};

/// Evidence against absolute limits; requests of this test are independent.
fn by_evidence(action: &str) -> serde_json::Value {
    json!({"name": "by-evidence", "tick": "5s", "warmup": "0s", "inconclusive_budget": "40s", "on_inconclusive": "hold",
        "steps": [{"name": "half", "split": 50, "dwell": "5s"}, {"name": "all", "split": 100, "dwell": "0s"}],
        "checks": [{"metric": "hallucination_rate", "rules": {"gte": 0.08}, "action": action},
            {"metric": "error_rate", "rules": {"gte": 0.10}, "phi": 1}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proof_promotes_evidence_takes_back_and_the_ledger_gives_both_again() {
    let house = House::start();
    let (one, two, three) = (Upstream::start("1").await, Upstream::start("2").await, Upstream::start("3").await);
    one.observe("hallucination=0");
    two.observe("hallucination=0");
    three.observe("hallucination=1");
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    house.version("reranker", "3", &three.url).await;
    let traffic = crate::traffic::start(&house, "reranker");

    let id = house.promote("reranker", "2", &json!({"policy": by_evidence("rollback")})).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    let (code, text) = tidegate(&house, &["replay", &id]).await;
    assert!(
        code == 0 && text.contains("are bit for bit what the ledger gives") && text.contains("never turned back"),
        "{text}"
    );

    let id = house.promote("reranker", "3", &json!({"policy": by_evidence("rollback")})).await;
    let ended = house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    let check = &ended["verdict"]["checks"][0];
    assert_eq!((&check["method"], &check["guarantee"]), (&json!("sequential"), &json!("alpha")), "{check}");
    assert!(check["evidence"]["odds"].as_f64() > check["evidence"]["odds_needed"].as_f64(), "{check}");
    let (_, shown) = tidegate(&house, &["show", &id]).await;
    assert!(shown.contains("evidence ") && shown.contains("that hallucination_rate is >= 0.08"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");

    let (code, text) = tidegate(&house, &["replay", &id]).await;
    assert!(code == 0 && text.contains("bit for bit"), "{text}");
    assert!(text.contains("it asked to rollback: hallucination_rate too high: 1.000 >= 0.08"), "{text}");
    let harmless = house.data().join("harmless.yaml");
    std::fs::write(&harmless, by_evidence("report").to_string()).unwrap();
    let (code, text) = tidegate(&house, &["replay", &id, "--policy", harmless.to_str().unwrap()]).await;
    assert!(code == 0 && text.contains("it would not have turned back"), "{text}");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_that_holds_blocks_the_promotion_and_takes_nobody_back() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    one.observe("hallucination=0");
    two.observe("hallucination=1");
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let traffic = crate::traffic::start(&house, "reranker");
    let id = house.promote("reranker", "2", &json!({"policy": by_evidence("hold")})).await;
    let path = format!("/v1/rollouts/{id}");
    let held = house.until(&path, |rollout| rollout["verdict"]["action"] == "hold").await;
    assert_eq!((&held["stage"], &held["verdict"]["result"]), (&json!("observing"), &json!("breach")), "{held}");
    assert_eq!(held["split"]["applied"], 5000);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}
