//! A request that names its version, against a real `tidegate up`.

use serde_json::json;

use crate::house::{House, LIMIT, Upstream};

async fn named(house: &House, version: &str) -> String {
    let request = house.client.get(format!("{}/reranker/predict", house.router)).header("x-model-version", version);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["x-model-version"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_registered_version_can_be_named_by_a_trusted_peer_of_a_real_process() {
    let (old, new) = (Upstream::start("1").await, Upstream::start("2").await);
    let house = House::start_told(&[("TIDEGATE_TRUSTED_PEERS", "127.0.0.1")]);
    house.serves("reranker", "1", &old.url).await;
    house.version("reranker", "2", &new.url).await;
    let since = std::time::Instant::now();
    while named(&house, "2").await != "2" {
        assert!(since.elapsed() < LIMIT, "the registered version was never reached");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let policy = json!({"name": "half", "steps": [{"split": 5, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({"policy": policy})).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert_eq!(named(&house, "2").await, "2");
    let (status, said) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "test"})).await;
    assert!(status == 200 || status == 202, "{said}");
    house.ended(&id).await;
    for _ in 0..50 {
        assert_eq!(named(&house, "2").await, "1", "a candidate that was turned back answers nobody");
    }
    let page = house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("tidegate_route_overrides_total{result=\"withdrawn\"}"), "{page}");
}
