//! Users: requests of many sessions through the router, as long as a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::house::House;
use crate::witness::{Witness, now_ms};

/// Requests in flight: on a machine that is too slow for more, users wait for their answer before they ask again.
const IN_FLIGHT: usize = 8;

/// Between two requests.
const QUICKLY: Duration = Duration::from_millis(5);
/// The same where much is killed meanwhile, and little judged.
const STEADILY: Duration = Duration::from_millis(20);
/// The same where many models are asked at once.
const SLOWLY: Duration = Duration::from_millis(25);

/// A balancer gives a request to the next router when one does not answer, for so long.
const BALANCED_FOR: Duration = Duration::from_secs(5);
/// Nobody answered: the wait before all are tried again.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Traffic that goes on until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: JoinHandle<()>,
    watch: Option<JoinHandle<()>>,
}

/// At most 200 requests a second of 2,000 sessions.
pub(crate) fn start(house: &House, model: &str) -> Traffic {
    ask(std::slice::from_ref(&house.router), model, QUICKLY, None, None)
}

/// At most 40, for tests with many models.
pub(crate) fn start_slowly(house: &House, model: &str) -> Traffic {
    ask(std::slice::from_ref(&house.router), model, SLOWLY, None, None)
}

/// The same at any router.
pub(crate) fn start_at(router: &str, model: &str) -> Traffic {
    ask(&[router.to_owned()], model, QUICKLY, None, None)
}

/// At most 50, before a witness, who looks at the router too.
pub(crate) fn before(house: &House, model: &str, witness: &Witness) -> Traffic {
    ask(std::slice::from_ref(&house.router), model, STEADILY, Some(witness.clone()), Some(witness.watch(house)))
}

/// The same of users behind a balancer, before a witness who watches meanwhile.
pub(crate) fn balanced(routers: &[String], model: &str, witness: &Witness, watch: JoinHandle<()>) -> Traffic {
    ask(routers, model, STEADILY, Some(witness.clone()), Some(watch))
}

fn ask(
    routers: &[String],
    model: &str,
    pause: Duration,
    witness: Option<Witness>,
    watch: Option<JoinHandle<()>>,
) -> Traffic {
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let urls: Arc<Vec<_>> = Arc::new(routers.iter().map(|router| format!("{router}/{model}/predict")).collect());
    let task = tokio::spawn({
        let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
        async move {
            let slots = Arc::new(Semaphore::new(IN_FLIGHT));
            let mut pace = tokio::time::interval(pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut count = 0u64;
            while !stop.load(Ordering::Relaxed) {
                pace.tick().await;
                let slot = Arc::clone(&slots).acquire_owned().await;
                count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let asked = Asked {
                    client: client.clone(),
                    urls: Arc::clone(&urls),
                    first: usize::try_from(count >> 50).unwrap(),
                    session: format!("s-{}", (count >> 33) % 2_000),
                    witness: witness.clone(),
                };
                let failed = Arc::clone(&failed);
                tokio::spawn(async move {
                    let _slot = slot;
                    if !asked.gets_an_answer().await {
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

/// One request of a session.
struct Asked {
    client: reqwest::Client,
    urls: Arc<Vec<String>>,
    /// Which router is asked first.
    first: usize,
    session: String,
    witness: Option<Witness>,
}

impl Asked {
    /// Whether it got a good answer.
    async fn gets_an_answer(self) -> bool {
        let since = Instant::now();
        for url in self.urls.iter().cycle().skip(self.first % self.urls.len()) {
            let began_at = now_ms();
            let request = self.client.post(url).header("x-session-id", &self.session).body("{\"text\":\"hello\"}");
            if let Ok(answer) = request.send().await {
                let version = answer.headers().get("x-model-version").and_then(|version| version.to_str().ok());
                if let (Some(witness), Some(version)) = (&self.witness, version) {
                    witness.answered(began_at, version);
                }
                return answer.status().is_success();
            }
            if self.urls.len() == 1 || since.elapsed() > BALANCED_FOR {
                return false;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        false
    }
}
