//! A rollout in the shape of `CanaryDeployment`, through a kill.

use serde_json::{Value, json};

use crate::house::{House, Upstream};

async fn shape(house: &House, id: &str) -> Value {
    let (status, shape) = house.get(&format!("/v1/rollouts/{id}?as=canary-deployment")).await;
    assert_eq!(status, 200, "{shape}");
    shape
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r84_a_rollout_is_shown_as_a_canary_deployment_and_stays_so_through_a_kill() {
    let house = House::start();
    let (one, two) = (Upstream::start("1.3.1").await, Upstream::start("1.3.2").await);
    house.serves("support-agent", "1.3.1", &one.url).await;
    house.version("support-agent", "1.3.2", &two.url).await;
    let policy = json!({"name": "slow", "steps": [
        {"split": 5, "dwell": "30m"}, {"split": 25, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("support-agent", "1.3.2", &json!({ "policy": policy })).await;
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;

    let first = shape(&house, &id).await;
    let started = first["stages"][0]["started_at"].clone();
    assert!(started.is_string(), "{first}");
    let stage = |percent: f64, minutes: f64, started: &Value| json!({"canary_traffic_pct": percent, "observation_minutes": minutes, "started_at": started});
    let none = Value::Null;
    let stages = [stage(5.0, 30.0, &started), stage(25.0, 60.0, &none), stage(100.0, 0.0, &none)];
    let expected = json!({"deployment_id": id, "agent_name": "support-agent", "stable_version": "1.3.1",
        "canary_version": "1.3.2", "stages": stages, "current_stage_index": 0, "status": "in_progress"});
    assert_eq!(first, expected);

    let house = house.killed_and_started();
    let again = shape(&house, &id).await;
    assert_eq!(again["stages"][0]["started_at"], started, "the clock of a step survives");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;
    assert_eq!(house.post(&format!("{path}/advance"), &json!({})).await.0, 200);
    house.until(&path, |rollout| rollout["stage"] == "observing" && rollout["step"] == 1).await;
    let second = shape(&house, &id).await;
    assert_eq!((&second["current_stage_index"], &second["status"]), (&json!(1), &json!("in_progress")));
    assert!(second["stages"][1]["started_at"].is_string(), "{second}");

    house.post(&format!("{path}/rollback"), &json!({})).await;
    house.ended(&id).await;
    assert_eq!(shape(&house, &id).await["status"], "rolled_back");
    let (status, problem) = house.get(&format!("{path}?as=pie")).await;
    assert_eq!((status, &problem["field"]), (422, &json!("as")));
}
