//! Whom a rollout reached: counted at the router, added up over restarts, shown to whoever asks.

use serde_json::{Value, json};

use crate::house::{House, Upstream};

async fn ask(house: &House, sessions: std::ops::Range<u32>) {
    for n in sessions {
        assert_eq!(house.ask("reranker", &format!("s{n}")).await.0, 200);
    }
}

fn about(value: &Value, wanted: u64) -> bool {
    value.as_u64().is_some_and(|seen| seen.abs_diff(wanted) <= 4)
}

#[tokio::test]
async fn the_sessions_that_a_candidate_reached_are_counted_once_over_restarts_and_told() {
    let (old, new) = (Upstream::start("1").await, Upstream::start("2").await);
    let house = House::start();
    house.serves("reranker", "1", &old.url).await;
    house.version("reranker", "2", &new.url).await;
    let policy = json!({
        "name": "half", "steps": [{"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "10m"}],
        "checks": [{"metric": "error_rate", "rules": {"max_absolute": 0.5}, "min_samples": 1}],
        "tick": "5s", "warmup": "0s",
    });
    ask(&house, 0..10).await;
    let id = house.promote("reranker", "2", &json!({"policy": policy})).await;
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;
    ask(&house, 0..60).await;
    ask(&house, 0..60).await;
    for _ in 0..20 {
        let answer = house.client.get(format!("{}/reranker/predict", house.router)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let rollout = house.until(&path, |rollout| rollout["reached"]["of_requests"] == 140).await;
    let reached = &rollout["reached"];
    assert!(about(&reached["of_sessions"], 60) && reached["no_key"] == 20, "{reached}");
    let candidate = reached["sessions"].as_u64().unwrap();
    assert!((15..=45).contains(&candidate), "half of them: {reached}");

    let house = house.killed_and_started();
    ask(&house, 0..80).await;
    let rollout =
        house.until(&path, |rollout| rollout["reached"]["of_requests"] == 220 && rollout["exposure"].is_array()).await;
    assert!(about(&rollout["reached"]["of_sessions"], 80), "a session counts once: {}", rollout["reached"]);
    assert!(rollout["reached"]["sessions"].as_u64().unwrap() >= candidate);
    house.post(&format!("{path}/rollback"), &json!({"reason": "seen enough"})).await;
    let ended = house.ended(&id).await;
    assert_eq!(ended["reached"], rollout["reached"], "the end forgets nobody");
    let parts = ended["exposure"].as_array().unwrap();
    assert!(parts.iter().all(|part| part["sessions"].as_u64().unwrap() > 0), "{parts:?}");
}

#[tokio::test]
async fn r66_users_who_do_not_get_the_share_that_was_asked_for_hold_the_rollout() {
    let (old, new) = (Upstream::start("1").await, Upstream::start("2").await);
    let house = House::start();
    house.serves("reranker", "1", &old.url).await;
    house.version("reranker", "2", &new.url).await;
    let policy = json!({
        "name": "half", "steps": [{"split": 50, "dwell": "20s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"max_absolute": 0.5}, "action": "report"}],
        "tick": "5s", "warmup": "0s", "inconclusive_budget": "5s",
    });
    let id = house.promote("reranker", "2", &json!({"policy": policy})).await;
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;
    let (_, table) = house.get("/internal/routes").await;
    let salt = table["routes"]["default.reranker"]["salt"].as_str().unwrap();
    // Whoever lands in the candidate stays away, as if something in front of the router kept them.
    let stays = |session: &String| rollout::bucket::bucket(salt, session) >= 5000;
    let mut users = (0..).map(|n| format!("s{n}")).filter(stays);
    let held = loop {
        for session in users.by_ref().take(5) {
            assert_eq!(house.ask("reranker", &session).await.0, 200);
        }
        let (_, rollout) = house.get(&path).await;
        if rollout["verdict"]["reason"] == "split_drift" {
            break rollout;
        }
        assert_eq!(rollout["stage"], "observing", "{rollout}");
    };
    let verdict = &held["verdict"];
    assert_eq!((&verdict["result"], &verdict["action"]), (&json!("error"), &json!("hold")), "{verdict}");
    assert_eq!(
        (&verdict["split"]["expected_bp"], &verdict["split"]["observed_bp"]),
        (&json!(5000), &json!(0)),
        "{held}"
    );
    let issue = held["issues"][0].as_str().unwrap();
    assert!(issue.starts_with("0 % of new sessions get the candidate and not 50 %: evidence "), "{issue}");
    // Its time and its grace are over, and nobody went back: a person decides.
    let later = house.until(&path, |rollout| rollout["verdict"]["tick"].as_u64() >= Some(6)).await;
    assert_eq!((&later["stage"], &later["verdict"]["action"]), (&json!("observing"), &json!("hold")), "{later}");
    let (_, said) = house.post(&format!("{path}/advance"), &json!({"reason": "the balancer is mended"})).await;
    assert_eq!(house.ended(&id).await["stage"], "completed", "{said}");
}
