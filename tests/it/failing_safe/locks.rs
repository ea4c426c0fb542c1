//! No forward traffic after a retreat. Four locks hold it, and each has a test of its own: `decide` refuses
//! (`after_a_retreat_nothing_leads_forward`), the database refuses (`a_rollout_that_turned_back_never_goes_forward_again` of the
//! store), a target refuses an older generation, and it refuses a forward route of a rollout for which it has seen `back` or `stop`,
//! whatever its generation. The last two are seen here in a whole control part.

use chassis::{Bucket, Entry, Say, Stamped, Trace};
use proto::{Message, SplitApply};
use rollout::{Direction, Model, RolloutId, Route, Share, Tenant};
use serde_json::json;

use super::Parts;

impl Parts {
    fn route(&self) -> (Route, i64) {
        let entry = self.core.bus.watch(Bucket::Route).borrow()["default.reranker"].clone();
        (serde_json::from_str(&entry.value).unwrap(), entry.revision)
    }

    /// Waits until the router has refused so many routes.
    async fn refused(&self, count: u32) {
        let (since, url) = (std::time::Instant::now(), format!("{}/metrics", self.house.api));
        let wanted = format!("tidegate_generations_refused_total{{kind=\"router\"}} {count}");
        while !self.house.client.get(&url).send().await.unwrap().text().await.unwrap().contains(&wanted) {
            assert!(since.elapsed() < crate::house::LIMIT, "the router has not refused {count} routes");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// The same route, forward, with everything for the candidate and far above all others.
fn forward(of: &Route) -> Route {
    let mut forward = Route { generation: of.generation + 1_000, stopped: false, ..of.clone() };
    forward.arms[0].basis_points = Share::WHOLE;
    forward.arms[1].basis_points = Share::ZERO;
    forward
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forward_split_from_before_a_retreat_is_refused_by_its_generation() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    let (before, _) = parts.route();
    parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert_eq!(parts.house.ended(&id).await["stage"], "rolled_back");
    let asked = SplitApply {
        tenant: Tenant::default_tenant(),
        model: Model::new("reranker").unwrap(),
        rollout_id: RolloutId::new(id).unwrap(),
        generation: before.generation,
        direction: Direction::Forward,
    };
    let stamped = Stamped { service: "stage-scheduler", at: parts.core.clock.now(), trace: &Trace::from_parent(None) };
    let late = Say { id: "late".to_owned(), message: Message::SplitApply(asked) };
    parts.core.bus.publish(&stamped, &[late]).await.unwrap();
    let since = std::time::Instant::now();
    let outcome = loop {
        let mut reader = parts.core.store.reader().await.unwrap();
        let outcome = reader.rows().outcome("traffic-updater", "/tidegate/stage-scheduler", "late").await.unwrap();
        match outcome {
            Some(outcome) => break outcome,
            None => assert!(since.elapsed() < crate::house::LIMIT, "it is not settled"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(outcome, ("refused".to_owned(), Some("older_generation".to_owned())));
    assert!(parts.route().0.generation > before.generation);
    assert_eq!(parts.candidates("reranker").await, 0);
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_forward_route_of_a_rollout_that_turned_back_reaches_nobody() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    let (before, _) = parts.route();
    parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert_eq!(parts.house.ended(&id).await["stage"], "rolled_back");
    let value = serde_json::to_string(&forward(&before)).unwrap();
    parts.core.bus.set(Bucket::Route, "default.reranker", value).await.unwrap();
    parts.refused(1).await;
    assert_eq!(parts.candidates("reranker").await, 0);
    assert!(parts.core.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_forward_route_of_a_stopped_rollout_reaches_nobody_before_the_stop_is_recorded() {
    let parts = Parts::start().await;
    let id = parts.half("reranker", json!({})).await;
    let stalled = parts.core.store.begin().await.unwrap();
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert_eq!((status, &answer["applied"]), (200, &json!(true)), "{answer}");
    let (stopped, revision) = parts.route();
    let entry = Entry { revision, value: serde_json::to_string(&forward(&stopped)).unwrap() };
    let bus = parts.core.bus.clone();
    let put = tokio::spawn(async move { bus.put_first(Bucket::Route, "default.reranker", entry).await });
    parts.refused(1).await;
    assert_eq!(parts.candidates("reranker").await, 0);
    drop(stalled);
    // What becomes of the value on disk does not matter: its writer may lose to the retreat.
    let _ = put.await.unwrap();
    assert_eq!(parts.house.ended(&id).await["stage"], "rolled_back");
    assert_eq!(parts.candidates("reranker").await, 0);
    assert!(parts.core.stop().await);
}
