//! Load for demos and tests: sessions that ask a model through the router, and an account of what each of them got.
//!
//! Open loop: a request starts when it is due, whether or not earlier ones were answered, and its latency counts
//! from when it was due. So a stall of the system shows up whole instead of slowing the questions down.
//! What could not be sent, because too many requests were under way, is counted as skipped.
//! It judges nothing: whether a version change was right is for the caller, who knows what the split did.

mod histogram;
mod ledger;
mod report;
mod request;
mod sessions;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::Uri;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use ledger::Ledger;
pub use report::{Blame, Moment, Report, UNANSWERED, VersionReport};
use request::Asker;
use sessions::Draws;

/// Requests under way at most: 200 a second whose every twelfth hangs for half a minute.
const IN_FLIGHT_MAX: usize = 512;

/// What to send.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The full address to post to, such as `http://127.0.0.1:7080/sentiment/predict`.
    pub url: Uri,
    /// Requests due per second, evenly spaced. Nothing is sent unless it is a positive number.
    pub rate_per_second: f64,
    /// How many sessions the requests are drawn from.
    pub sessions: u32,
    /// Seed of the draw of sessions: the same seed draws the same sessions in the same order.
    pub seed: u64,
    /// How long an answer may take, from sending to its last byte.
    pub timeout: Duration,
    /// Requests under way at most; one that is due beyond that is counted as skipped.
    pub in_flight_max: usize,
    /// Part of each session's id (`s-<run>-<n>`), so that no two runs share sessions.
    pub run: String,
}

/// Load that runs. Dropping it ends the sending and forgets the account.
#[derive(Debug)]
pub struct Load {
    ledger: SharedLedger,
    stop: watch::Sender<bool>,
    pacer: JoinHandle<()>,
    requests: TaskTracker,
}

/// The account, shared by the requests under way and whoever asks for a report.
#[derive(Clone, Debug)]
struct SharedLedger(Arc<Mutex<Ledger>>);

impl LoadPlan {
    /// A hundred requests a second from two thousand sessions that no earlier run has used.
    #[must_use]
    pub fn new(url: Uri) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            url,
            rate_per_second: 100.0,
            sessions: 2_000,
            seed: 1,
            timeout: Duration::from_secs(10),
            in_flight_max: IN_FLIGHT_MAX,
            run: format!("{:x}", since_epoch.as_nanos()),
        }
    }
}

impl Load {
    /// Begins to send. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(plan: LoadPlan) -> Self {
        let ledger = SharedLedger(Arc::new(Mutex::new(Ledger::new(plan.sessions))));
        let requests = TaskTracker::new();
        let (stop, stopping) = watch::channel(false);
        let pacer = tokio::spawn(pace(plan, ledger.clone(), requests.clone(), stopping));
        Self { ledger, stop, pacer, requests }
    }

    /// The account so far; requests under way are in it as `in_flight`.
    #[must_use]
    pub fn snapshot(&self) -> Report {
        self.ledger.lock().report()
    }

    /// Sends nothing more, waits for what is under way (each bounded by the timeout), and gives the account.
    pub async fn stop(mut self) -> Report {
        let _ = self.stop.send(true);
        let _ = (&mut self.pacer).await;
        self.requests.close();
        self.requests.wait().await;
        self.snapshot()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.pacer.abort();
    }
}

impl SharedLedger {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pace(plan: LoadPlan, ledger: SharedLedger, requests: TaskTracker, mut stop: watch::Receiver<bool>) {
    let Some(gap) = gap(plan.rate_per_second) else {
        return;
    };
    let mut draws = Draws::new(plan.seed, plan.sessions);
    let places = Arc::new(Semaphore::new(plan.in_flight_max));
    let asker = Arc::new(Asker::new(&plan));
    let mut due = Instant::now();
    loop {
        // Returns at once when we are behind, so a delay here is caught up and stays in the latencies.
        tokio::select! {
            () = sleep_until(due) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let session = draws.next_session();
        match places.clone().try_acquire_owned() {
            Err(_) => ledger.lock().skipped(),
            Ok(place) => {
                ledger.lock().sent();
                let (asker, ledger) = (asker.clone(), ledger.clone());
                requests.spawn(async move {
                    let outcome = asker.ask(session, due.into_std()).await;
                    ledger.lock().ended(session, &outcome);
                    drop(place);
                });
            }
        }
        let Some(next) = due.checked_add(gap) else {
            return;
        };
        due = next;
    }
}

/// The time between two requests, unless the rate makes no sense.
fn gap(rate_per_second: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(1.0 / rate_per_second).ok().filter(|gap| !gap.is_zero())
}
