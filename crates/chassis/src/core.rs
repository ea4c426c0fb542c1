//! What a process shares among its services: store, bus, clock, metrics, and the way to stop.

use std::sync::Arc;
use std::time::Duration;

use rollout::At;
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::consume::consume;
use crate::handler::Handler;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::prometheus::Prometheus;
use crate::replay::unpark;
use crate::run::until_signal;
use crate::sweep::sweep;
use crate::telemetry::flush;
use crate::wheel::{Arm, Pulse, turn};

/// A clean stop takes no longer.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Closing the store takes no longer.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What a process shares among its services.
#[derive(Debug, Clone)]
pub struct Core {
    /// The database.
    pub store: Store,
    /// The bus.
    pub bus: Bus,
    /// The one door to time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// The Prometheus that policies may ask; none until the process says so.
    pub prometheus: Option<Prometheus>,
    /// Everything that runs.
    pub tasks: TaskTracker,
    /// Cancelled when the process stops.
    pub stop: CancellationToken,
    /// When the process started.
    pub(crate) started_at: At,
    /// Whether services can be given work.
    pub(crate) health: Health,
    /// Changes when somebody says a word about a parked message.
    pub(crate) words: Arc<watch::Sender<()>>,
}

impl Core {
    /// Opens the bus over `store` and starts what belongs to no service.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start(store: Store, clock: Clock) -> Result<Self, store::Error> {
        let bus = Bus::in_process(&store, &clock).await?;
        Ok(Self::start_on(bus, store, clock, Metrics::default()))
    }

    /// Starts what belongs to no service, on a bus that is there.
    #[must_use]
    pub fn start_on(bus: Bus, store: Store, clock: Clock, metrics: Metrics) -> Self {
        let core = Self::still(bus, store, clock, metrics);
        core.tasks.spawn(sweep(core.clone()));
        let metrics = core.metrics.clone();
        core.tasks.spawn(core.clock.clone().keep(core.stop.clone(), move || metrics.clock_jumped()));
        core
    }

    /// A process in which nothing runs by itself.
    pub(crate) fn still(bus: Bus, store: Store, clock: Clock, metrics: Metrics) -> Self {
        let started_at = clock.now();
        Self {
            store,
            bus,
            clock,
            metrics,
            prometheus: None,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            started_at,
            health: Health::default(),
            words: Arc::new(watch::channel(()).0),
        }
    }

    /// Somebody said a word about a parked message: its service looks at once.
    pub fn wake_parked(&self) {
        self.words.send_replace(());
    }

    /// The process can't go on with this service: it stops, and whoever watches it starts another.
    pub(crate) fn give_up(&self, service: &str, why: &str) {
        tracing::error!(service, "{service} is broken, so the process stops: {why}");
        self.stop.cancel();
    }

    /// Waits for a signal to stop.
    ///
    /// # Errors
    /// When a service gave up before.
    pub async fn until_told(&self) -> anyhow::Result<()> {
        tokio::select! {
            told = until_signal() => Ok(told?),
            () = self.stop.cancelled() => anyhow::bail!("a service could not go on; the log says why"),
        }
    }

    /// Stops taking causes, finishes what is in hand, closes the store; `false` when that took longer than 10 s.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(STOP_LIMIT, self.tasks.wait()).await.is_ok();
        self.bus.drain().await;
        // A connection that is still out must not keep the process: what it wrote is safe or rolled back.
        let closed = tokio::time::timeout(CLOSE_LIMIT, self.store.close()).await.is_ok();
        flush().await;
        drained && closed
    }
}

/// Runs a service: its consumers and its deadlines. The pulse says when those were last looked at.
pub fn serve<H: Handler>(core: &Core, handler: H) -> Pulse {
    serve_handler(core, &Arc::new(handler))
}

/// Runs a service whose handler is also used elsewhere.
pub fn serve_handler<H: Handler>(core: &Core, handler: &Arc<H>) -> Pulse {
    let (arm, news) = Arm::new();
    let (turned, pulse) = Pulse::new();
    for consumer in H::CONSUMERS {
        core.tasks.spawn(consume(core.clone(), Arc::clone(handler), consumer, arm.clone()));
    }
    if !H::CONSUMERS.is_empty() {
        core.tasks.spawn(unpark(core.clone(), Arc::clone(handler), arm.clone()));
    }
    let core_of_wheel = core.clone();
    core.tasks.spawn(turn(core_of_wheel, Arc::clone(handler), (arm, turned), news));
    pulse
}
