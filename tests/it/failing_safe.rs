//! What happens when a part is dead: everything runs in this process, so that a test can take the database away from it.

use std::net::SocketAddr;
use std::sync::Arc;

use ::chassis::{Clock, Core};
use serde_json::{Value, json};
use store::Store;

use crate::house::{House, Upstream};

mod disk;
mod drift;
mod lease;
mod locks;
mod stop;

/// A tidegate whose parts a test can reach.
struct Parts {
    core: Core,
    house: House,
    one: Upstream,
    two: Upstream,
}

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

impl Parts {
    async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn start_in(folder: Arc<tempfile::TempDir>) -> Self {
        let parts = Self::without_services(folder).await;
        parts.serve();
        parts
    }

    /// An API and a router, and nobody who works.
    async fn without_services(folder: Arc<tempfile::TempDir>) -> Self {
        let store = Store::open(folder.path()).await.unwrap();
        let core = Core::start(store, Clock::system()).await.unwrap();
        let api = api::listen(&core, SocketAddr::from(ANY)).await.unwrap();
        let state = folder.path().join("router");
        let router = ::router::join(&core, SocketAddr::from(ANY), state, &"embedded".parse().unwrap()).await.unwrap();
        let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
        Self { core, house: House::within(folder, api, router), one, two }
    }

    fn serve(&self) {
        registry_writer::serve(&self.core);
        stage_scheduler::serve(&self.core);
        traffic_updater::serve(&self.core);
        deployer::serve(&self.core);
    }

    /// A model whose second version has half of the traffic, in a step of a day.
    async fn half(&self, model: &str, fields: Value) -> String {
        self.house.serves(model, "1", &self.one.url).await;
        self.house.version(model, "2", &self.two.url).await;
        let mut policy =
            json!({"name": "half", "steps": [{"split": 50, "dwell": "24h"}, {"split": 100, "dwell": "0s"}]});
        policy.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let id = self.house.promote(model, "2", &json!({ "policy": policy })).await;
        self.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
        assert!(self.candidates(model).await > 0);
        id
    }

    /// How many of 40 sessions the candidate gets.
    async fn candidates(&self, model: &str) -> usize {
        let mut count = 0;
        for session in 0..40 {
            let (status, version) = self.house.ask(model, &format!("s-{session}")).await;
            assert_eq!(status, 200);
            count += usize::from(version == "2");
        }
        count
    }

    /// Waits until the candidate gets nothing.
    async fn back(&self, model: &str) {
        let since = std::time::Instant::now();
        while self.candidates(model).await > 0 {
            assert!(since.elapsed() < crate::house::LIMIT, "the candidate of {model} still has traffic");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// The facts of a rollout's history, oldest first.
    async fn facts(&self, id: &str) -> Vec<String> {
        let (_, page) = self.house.get(&format!("/v1/rollouts/{id}/history")).await;
        let entries = page["items"].as_array().unwrap().iter();
        entries.map(|entry| entry["fact"].as_str().unwrap().to_owned()).collect()
    }
}
