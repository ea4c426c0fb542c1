//! Many rollouts at once (R101): each model has its own, and one that is taken back waits for none of the others.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::plant::Plant;
use super::steps;
use crate::house::Upstream;
use crate::witness::Witness;

/// As many models, with a rollout each; `TIDEGATE_MODELS` says another number, and `./x soak` five hundred.
const MODELS: usize = 100;
/// Requests on their way at once.
const AT_ONCE: usize = 16;
/// Far above what a retreat takes, and far below what a turn of the other rollouts would.
const RETREAT: Duration = Duration::from_secs(5);

fn model(number: usize) -> String {
    format!("m{number}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r101_many_rollouts_at_once_are_one_for_each_model_and_none_delays_a_retreat() {
    let models = std::env::var("TIDEGATE_MODELS").ok().and_then(|number| number.parse().ok()).unwrap_or(MODELS);
    let (whole, upstreams) = (Plant::start().await, [Upstream::start("1").await, Upstream::start("2").await]);
    let (house, plant) = (&whole.house, &whole);
    let registered = (0..models).map(async |number| {
        plant.say("/v1/models", &json!({"name": model(number), "type": "RERANKER"})).await;
        for (version, upstream) in ["1", "2"].iter().zip(&upstreams) {
            let body = json!({"version": version, "upstream": upstream.url});
            plant.say(&format!("/v1/registry/{}/versions", model(number)), &body).await;
        }
    });
    stream::iter(registered).buffer_unordered(AT_ONCE).collect::<()>().await;
    for number in 0..models {
        let serves = |model: &Value| model["active"] == "1" && model["rollout"].is_null();
        house.until(&format!("/v1/models/{}", model(number)), serves).await;
    }
    let policy = steps(&[10], "1h");
    let promoted = (0..models).map(async |number| house.promote(&model(number), "2", &policy).await);
    let ids: Vec<_> = stream::iter(promoted).buffered(AT_ONCE).collect().await;
    for id in &ids {
        house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    }
    let (status, refused) = house.post("/v1/registry/m0/2/promote", &policy).await;
    assert_eq!((status, &refused["rollout_id"]), (409, &json!(ids[0])), "a model has one rollout: {refused}");
    let began = Instant::now();
    plant.say(&format!("/v1/rollouts/{}/rollback", ids[1]), &json!({})).await;
    let back = house.ended(&ids[1]).await;
    assert_eq!((&back["stage"], began.elapsed() < RETREAT), (&json!("rolled_back"), true), "{back}");
    // And all the others, none of which has moved meanwhile.
    let others = ids.iter().filter(|id| **id != ids[1]);
    let back = others.map(async |id| {
        assert_eq!(house.get(&format!("/v1/rollouts/{id}")).await.1["stage"], "observing", "{id}");
        plant.say(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
        assert_eq!(house.ended(id).await["stage"], "rolled_back", "{id}");
    });
    stream::iter(back).buffer_unordered(AT_ONCE).collect::<()>().await;
    assert_eq!(whole.violations(&Witness::default()).await, Vec::<String>::new());
}
