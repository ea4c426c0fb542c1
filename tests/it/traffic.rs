//! Users: requests of many sessions through the router, as long as a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::house::House;

/// Traffic that goes on until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

/// About 200 requests a second of 2,000 sessions.
pub(crate) fn start(house: &House, model: &str) -> Traffic {
    start_at(&house.router, model)
}

/// The same at any router.
pub(crate) fn start_at(router: &str, model: &str) -> Traffic {
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let url = format!("{router}/{model}/predict");
    let task = tokio::spawn({
        let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
        async move {
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            let mut count = 0u64;
            while !stop.load(Ordering::Relaxed) {
                pace.tick().await;
                count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let request = client
                    .post(&url)
                    .header("x-session-id", format!("s-{}", (count >> 33) % 2_000))
                    .body("{\"text\":\"hello\"}");
                let failed = Arc::clone(&failed);
                tokio::spawn(async move {
                    let fine = request.send().await.is_ok_and(|answer| answer.status().is_success());
                    if !fine {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
    });
    Traffic { stop, failed, task }
}

impl Traffic {
    /// Ends it and gives how many requests did not get a good answer.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.await;
        self.failed.load(Ordering::Relaxed)
    }
}
