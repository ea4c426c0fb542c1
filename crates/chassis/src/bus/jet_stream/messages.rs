//! The messages of the JetStream arm: said by the outbox and its relay, taken by durable consumers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use judge::Span;
use rollout::At;
use store::{Outgoing, Placed, Rows, Tx};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::found::consumer_info;
use super::init::stream_of;
use super::queue::is_urgent;
use super::relay::{Outbox, Relay};
use super::subscription::Subscription;
use crate::bus::{Backlog, Error, OURS_FOR_MS};
use crate::consumers::Consumer;
use crate::metrics::Metrics;

/// Commits handed over and not published yet; what is more is found by the sweep.
const HANDED: usize = 1_024;
/// What wakes up those who wait for commits of other processes.
pub(super) const NEWS: &str = "tg.news.>";
/// Commits of other processes that no news tells of are looked for this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Published rows are kept this long, for the day when a server has lost them.
const KEPT: Span = Span(10 * 60 * 1000);
/// Those of services that say what can't be made again are kept longer.
const KEPT_LONG: Span = Span(24 * 60 * 60 * 1000);
const SAY_WHAT_CANNOT_BE_MADE_AGAIN: [&str; 2] = ["api", "registry-writer"];
/// Rows that wait are counted up to this.
const WAITING_MAX: i64 = 20_000;

/// The messages of the JetStream arm.
#[derive(Debug, Clone)]
pub struct Messages {
    connection: Connection,
    outbox: Outbox,
    /// What takes traffic away is handed over on a way of its own, which no storm of other commits fills.
    urgent: mpsc::Sender<Vec<Placed>>,
    handed: mpsc::Sender<Vec<Placed>>,
    commits: Arc<watch::Sender<i64>>,
    /// Whether somebody hears of the commits of other processes.
    hears: Arc<AtomicBool>,
    consumers: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    tasks: TaskTracker,
    drain: CancellationToken,
}

impl Messages {
    /// Begins to relay.
    pub(super) fn start(connection: Connection, outbox: Outbox, metrics: &Metrics) -> Self {
        let ((urgent, first), (handed, taken)) = (mpsc::channel(HANDED), mpsc::channel(HANDED));
        let (tasks, drain) = (TaskTracker::new(), CancellationToken::new());
        let relay = Relay::new(outbox.clone(), connection.clone(), metrics);
        tasks.spawn(relay.run(first, taken, drain.clone()));
        let commits = Arc::new(watch::channel(0).0);
        let (hears, consumers) = (Arc::default(), Arc::default());
        Self { connection, outbox, urgent, handed, commits, hears, consumers, tasks, drain }
    }

    /// Publishes what was handed over and ends; what is left is found by the next process.
    pub(crate) async fn drain(&self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn subscribe(&self, consumer: &Consumer) -> Subscription {
        let stream = stream_of(consumer).expect("every consumer has a stream: a test of the table says so").name;
        self.consumers().push((stream, consumer.name));
        Subscription::open(&self.connection, stream, consumer)
    }

    pub(crate) async fn say(&self, tx: &mut Tx, messages: &[Outgoing]) -> Result<Vec<(i64, String)>, store::Error> {
        tx.say_to_relay(messages, self.outbox.clock.now().plus_ms(OURS_FOR_MS)).await
    }

    pub(crate) fn announce(&self, said: &[Placed]) {
        let (urgent, others): (Vec<_>, Vec<_>) = said.iter().cloned().partition(is_urgent);
        for (way, said) in [(&self.urgent, urgent), (&self.handed, others)] {
            if !said.is_empty() {
                // Full means that the server does not keep up: the rows are there.
                let _ = way.try_send(said);
            }
        }
        self.committed();
    }

    /// Commits of this process at once, those of others when they make news, and else within a moment.
    pub(crate) fn commits(&self) -> watch::Receiver<i64> {
        if !self.hears.swap(true, Ordering::Relaxed) {
            self.tasks.spawn(self.clone().hear_news());
        }
        self.commits.subscribe()
    }

    async fn hear_news(self) {
        let mut news = self.connection.jetstream().client().subscribe(NEWS).await.ok();
        while !self.drain.is_cancelled() {
            tokio::select! {
                () = self.drain.cancelled() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                Some(_) = async { news.as_mut()?.next().await } => {}
            }
            self.committed();
        }
    }

    fn committed(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    /// How many rows wait to be published, counted up to `most`, and when the first of them was said.
    pub(crate) async fn waiting(&self, rows: &mut Rows<'_>, most: i64) -> Result<(i64, Option<At>), store::Error> {
        let (mut count, mut oldest) = (0, None::<At>);
        for service in self.outbox.services {
            let (more, since) = rows.unpublished(service, most).await?;
            count += more;
            oldest = oldest.into_iter().chain(since).min();
        }
        Ok((count, oldest))
    }

    /// What waits to be published, and what consumers of this process have before them; nothing of those while no server answers.
    pub(crate) async fn backlog(&self, rows: &mut Rows<'_>) -> Result<Backlog, store::Error> {
        let (waiting, oldest) = self.waiting(rows, WAITING_MAX).await?;
        let consumers = self.consumers().clone();
        let lag = try_join_all(consumers.into_iter().map(|(stream, name)| self.lag(stream, name))).await;
        let lag = lag.unwrap_or_else(|error| {
            tracing::warn!("the metrics page is without what waits for consumers: {error}");
            Vec::new()
        });
        Ok(Backlog { waiting: u64::try_from(waiting).unwrap_or(0), oldest, lag })
    }

    async fn lag(&self, stream: &'static str, name: &'static str) -> Result<(&'static str, u64), Error> {
        let missing = || Error::Nats { doing: "read a consumer", cause: format!("{name} is missing") };
        let info = consumer_info(self.connection.jetstream(), stream, name).await?.ok_or_else(missing)?;
        Ok((name, info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0)))
    }

    /// Takes away what was published long ago, and what is out of use; gives how many rows.
    pub(crate) async fn sweep(&self) -> Result<u64, store::Error> {
        let (now, mut gone) = (self.outbox.clock.now(), 0);
        for service in self.outbox.services {
            let kept = if SAY_WHAT_CANNOT_BE_MADE_AGAIN.contains(service) { KEPT_LONG } else { KEPT };
            gone += self.outbox.store.forget_published(service, now.plus_ms(-kept.ms())).await?;
            gone += self.outbox.store.sweep_of(service, now).await?;
        }
        Ok(gone)
    }

    fn consumers(&self) -> MutexGuard<'_, Vec<(&'static str, &'static str)>> {
        self.consumers.lock().expect("no holder of the consumers panics")
    }
}
