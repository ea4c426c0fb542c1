//! Users: requests of many sessions through the router, as long as a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::house::House;
use crate::witness::{Witness, now_ms};

/// Requests in flight: on a machine that is too slow for more, users wait for their answer before they ask again.
const IN_FLIGHT: usize = 8;

/// Traffic that goes on until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: JoinHandle<()>,
    watch: Option<JoinHandle<()>>,
}

/// At most 200 requests a second of 2,000 sessions.
pub(crate) fn start(house: &House, model: &str) -> Traffic {
    ask(&house.router, model, None, None)
}

/// The same at any router.
pub(crate) fn start_at(router: &str, model: &str) -> Traffic {
    ask(router, model, None, None)
}

/// The same, before a witness, who looks at the router too.
pub(crate) fn before(house: &House, model: &str, witness: &Witness) -> Traffic {
    ask(&house.router, model, Some(witness.clone()), Some(witness.watch(house)))
}

fn ask(router: &str, model: &str, witness: Option<Witness>, watch: Option<JoinHandle<()>>) -> Traffic {
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let url = format!("{router}/{model}/predict");
    let task = tokio::spawn({
        let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
        async move {
            let slots = Arc::new(Semaphore::new(IN_FLIGHT));
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut count = 0u64;
            while !stop.load(Ordering::Relaxed) {
                pace.tick().await;
                let slot = Arc::clone(&slots).acquire_owned().await;
                count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let request = client
                    .post(&url)
                    .header("x-session-id", format!("s-{}", (count >> 33) % 2_000))
                    .body("{\"text\":\"hello\"}");
                let (failed, witness) = (Arc::clone(&failed), witness.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    let began_at = now_ms();
                    let answer = request.send().await.ok();
                    let version = answer.as_ref().and_then(|answer| answer.headers().get("x-model-version"));
                    if let (Some(witness), Some(version)) = (witness, version.and_then(|version| version.to_str().ok()))
                    {
                        witness.answered(began_at, version);
                    }
                    if !answer.is_some_and(|answer| answer.status().is_success()) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
    });
    Traffic { stop, failed, task, watch }
}

impl Traffic {
    /// Ends it and gives how many requests did not get a good answer.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.await;
        if let Some(watch) = self.watch {
            watch.abort();
        }
        self.failed.load(Ordering::Relaxed)
    }
}
