//! The bus: durable messages, buckets of values, and wake-ups. The in-process arm keeps its messages in the outbox rows.

mod error;
mod in_process;
pub(crate) mod jet_stream;
pub(crate) mod received;
mod stops;

use std::time::Duration;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use judge::Span;
use proto::RolloutCommand;
use rollout::At;
use store::{Outgoing, Placed, Rows, Store, Tx};
use tokio::sync::watch;

pub use error::Error;
pub(crate) use received::{Handle, Received};
pub use stops::{Heard, Stops};

use crate::by_hand::Handed;
use crate::clock::Clock;
use crate::commit::Say;
use crate::consumers::Consumer;
use crate::metrics::Metrics;
use crate::say::{Stamped, outgoing, say_now};

/// Messages of this process are kept this long after they were said.
const KEPT: Span = Span(10 * 60 * 1000);

/// What was just said is left to its own process for so long, in milliseconds, before a relay looks for it.
const OURS_FOR_MS: i64 = 1_000;

/// A bucket of values with compare-and-set and watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Applied routes, by `<tenant>.<model>`; written by traffic-updater alone.
    Route,
    /// What routers say of themselves; see [`crate::Roster`].
    Router,
    /// The beat of stage-scheduler, by `beat`: what leases hang on.
    Beat,
}

impl Bucket {
    pub(crate) const ALL: [Self; 3] = [Self::Route, Self::Router, Self::Beat];

    /// The bucket's name on the bus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "tg_route",
            Self::Router => "tg_router",
            Self::Beat => "tg_beat",
        }
    }

    /// Whether its values outlive the process. A router's word about itself is worth nothing after it is gone, and a beat that is
    /// kept would be one that nobody made.
    pub(crate) const fn is_kept(self) -> bool {
        matches!(self, Self::Route)
    }
}

/// A value of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts the changes of the key; 0 where there is none yet.
    pub revision: i64,
    /// The value.
    pub value: String,
}

/// All values of a bucket at one moment. Whoever keeps an older moment shares all but the difference with it, and finds that without
/// looking at the rest: with a thousand routes, each word of a router would else cost a copy of everything in every process.
pub type Values = OrdMap<String, Entry>;

/// What is new or another in `values` since `before`.
pub fn changes<'v>(before: &'v Values, values: &'v Values) -> impl Iterator<Item = (&'v String, &'v Entry)> {
    before.diff(values).filter_map(|change| match change {
        DiffItem::Add(key, entry) | DiffItem::Update { new: (key, entry), .. } => Some((key, entry)),
        DiffItem::Remove(..) => None,
    })
}

/// The bus: one arm a transport.
#[derive(Debug, Clone)]
pub enum Bus {
    /// Within one process, over the rows of its store.
    InProcess(in_process::InProcess),
    /// On a nats-server.
    JetStream {
        /// Its buckets and stops.
        values: Box<jet_stream::JetStream>,
        /// Its messages; none where there is no store to keep them in.
        messages: Option<Box<jet_stream::Messages>>,
    },
}

impl Bus {
    /// The bus of the embedded form.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn in_process(store: &Store, clock: &Clock) -> Result<Self, store::Error> {
        Ok(Self::InProcess(in_process::InProcess::open(store.clone(), clock.clone()).await?))
    }

    /// A bus that hands over what is committed, for somebody else to publish.
    pub(crate) async fn by_hand(store: &Store, clock: &Clock, handed: Handed) -> Result<Self, store::Error> {
        let bus = in_process::InProcess::open(store.clone(), clock.clone()).await?;
        Ok(Self::InProcess(bus.handing_over(handed)))
    }

    /// The bus of the distributed form. What `services` say is published out of the store from now on.
    #[must_use]
    pub fn jet_stream(
        values: jet_stream::JetStream,
        services: &'static [&'static str],
        (store, clock): (&Store, &Clock),
        metrics: &Metrics,
    ) -> Self {
        let messages = values.messages_of(services, (store.clone(), clock.clone()), metrics);
        Self::JetStream { values: Box::new(values), messages: Some(Box::new(messages)) }
    }

    /// The bus of a process without a database: it has values, hears stops, and measures.
    #[must_use]
    pub fn without_store(values: jet_stream::JetStream) -> Self {
        Self::JetStream { values: Box::new(values), messages: None }
    }

    /// Whether the bus outlives the process, because others have it too; then [`Bucket::Router`] forgets.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::JetStream { .. })
    }

    /// A durable consumer's end.
    pub(crate) fn subscribe(&self, consumer: &Consumer) -> Subscription {
        match self {
            Self::InProcess(bus) => Subscription::InProcess(bus.subscribe(consumer)),
            Self::JetStream { messages, .. } => Subscription::JetStream(kept(messages).subscribe(consumer)),
        }
    }

    /// Says messages inside a transaction of the caller's; gives those whose id was not said before, to be announced once they
    /// are committed.
    ///
    /// # Errors
    /// When the store does not take them.
    pub(crate) async fn say(&self, tx: &mut Tx, says: Vec<Outgoing>) -> Result<Vec<Placed>, store::Error> {
        let placed = match self {
            Self::InProcess(bus) => bus.say(tx, &says).await?,
            Self::JetStream { messages, .. } => kept(messages).say(tx, &says).await?,
        };
        Ok(Placed::of(says, placed))
    }

    /// Hands over what was committed.
    pub(crate) fn announce(&self, said: &[Placed]) {
        match self {
            Self::InProcess(bus) => bus.announce(said),
            Self::JetStream { messages, .. } => kept(messages).announce(said),
        }
    }

    /// Publishes messages that no commit reports: measurements, which are cumulative, so that a lost one costs nothing.
    ///
    /// # Errors
    /// When the bus does not take them.
    pub async fn publish(&self, stamped: &Stamped<'_>, says: &[Say]) -> Result<(), Error> {
        match self {
            Self::InProcess(bus) => Ok(say_now(self, bus.begin().await?, stamped, says).await?),
            Self::JetStream { values, .. } => values.publish(&outgoing(stamped, says)).await,
        }
    }

    /// Changes with every commit: for those who wait until something is in the database.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<i64> {
        match self {
            Self::InProcess(bus) => bus.commits(),
            Self::JetStream { messages, .. } => kept(messages).commits(),
        }
    }

    /// The values of a bucket, now and whenever they change.
    #[must_use]
    pub fn watch(&self, bucket: Bucket) -> watch::Receiver<Values> {
        match self {
            Self::InProcess(bus) => bus.watch(bucket),
            Self::JetStream { values, .. } => values.watch(bucket),
        }
    }

    /// Puts a value at the revision read (0: there was none); gives the new revision, or none when another one was quicker: then
    /// the values say what stands there.
    ///
    /// # Errors
    /// When the bus does not answer: the value may be there all the same.
    pub async fn put(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        match self {
            Self::InProcess(bus) => bus.put(bucket, key, entry).await,
            Self::JetStream { values, .. } => values.put(bucket, key, entry).await,
        }
    }

    /// Puts a value whatever is there: for keys that have one writer.
    ///
    /// # Errors
    /// When the bus does not answer: the value may be there all the same.
    pub async fn set(&self, bucket: Bucket, key: &str, value: String) -> Result<(), Error> {
        match self {
            Self::InProcess(bus) => bus.set(bucket, key, value).await,
            Self::JetStream { values, .. } => values.set(bucket, key, &value).await,
        }
    }

    /// What is said and not settled by everybody yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn backlog(&self, rows: &mut Rows<'_>) -> Result<Backlog, store::Error> {
        match self {
            Self::InProcess(bus) => bus.backlog(rows).await,
            Self::JetStream { messages, .. } => kept(messages).backlog(rows).await,
        }
    }

    /// How much of that there is, counted up to `most`, and when the first of it was said.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn waiting(&self, rows: &mut Rows<'_>, most: i64) -> Result<(i64, Option<At>), store::Error> {
        match self {
            Self::InProcess(bus) => rows.waiting(bus.passed(), most).await,
            Self::JetStream { messages, .. } => kept(messages).waiting(rows, most).await,
        }
    }

    /// Whether consumers still read what was there at the start; what of it is old may have been settled long ago.
    pub(crate) fn is_looking(&self) -> bool {
        match self {
            Self::InProcess(bus) => bus.is_looking(),
            Self::JetStream { .. } => false,
        }
    }

    /// Publishes a stop without a commit: it can only reduce, so it may be heard twice, and before it is recorded.
    /// `id` is that of its commit.
    ///
    /// # Errors
    /// When the bus does not answer: the stop may be heard all the same.
    pub async fn stop(&self, stamped: &Stamped<'_>, id: &str, command: &RolloutCommand) -> Result<(), Error> {
        match self {
            Self::InProcess(bus) => {
                bus.stop(command);
                Ok(())
            }
            Self::JetStream { values, .. } => values.stop(stamped, id, command).await,
        }
    }

    /// Whether a value was put so lately that nobody need put it again to keep it: those of [`Bucket::Router`] end with time, where
    /// the bus outlives the process.
    #[must_use]
    pub fn is_fresh(&self, bucket: Bucket, key: &str) -> bool {
        match self {
            Self::InProcess(bus) => bus.watch(bucket).borrow().contains_key(key),
            Self::JetStream { values, .. } => values.is_fresh(bucket, key),
        }
    }

    /// Hears stops as they are published.
    #[must_use]
    pub fn stops(&self) -> Stops {
        match self {
            Self::InProcess(bus) => bus.stops(),
            Self::JetStream { values, .. } => values.stops(),
        }
    }

    /// Puts a value that can only reduce, as [`Bus::put`] does: within one process it is there at once, and kept as soon as the
    /// store takes it.
    ///
    /// # Errors
    /// When the bus does not answer, or the store does not take it: the value may be there all the same.
    pub async fn put_first(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        match self {
            Self::InProcess(bus) => bus.put_first(bucket, key, entry).await,
            Self::JetStream { values, .. } => values.put(bucket, key, entry).await,
        }
    }

    /// Why the process can't be given work, if that is for want of a bus.
    #[must_use]
    pub fn ailing(&self) -> Option<String> {
        match self {
            Self::InProcess(_) => None,
            Self::JetStream { values, .. } => values.ailing(),
        }
    }

    /// Takes away what nobody needs any more; gives how many rows went: [`store::SWEEP`] or more means that there may be more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn sweep(&self, store: &Store, now: At) -> Result<u64, store::Error> {
        match self {
            Self::InProcess(bus) => store.sweep(bus.passed(), now.plus_ms(-KEPT.ms()), now).await,
            Self::JetStream { messages, .. } => kept(messages).sweep().await,
        }
    }

    /// Publishes what was handed over before, and ends.
    pub(crate) async fn drain(&self) {
        match self {
            Self::InProcess(_) => {}
            Self::JetStream { messages, .. } => kept(messages).drain().await,
        }
    }
}

/// The messages of a process that has a store.
fn kept(messages: &Option<Box<jet_stream::Messages>>) -> &jet_stream::Messages {
    messages.as_deref().expect("a process without a store has no messages, because it has no core")
}

/// What is said and not settled by everybody yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Messages.
    pub(crate) waiting: u64,
    /// When the oldest of them was said.
    pub(crate) oldest: Option<At>,
    /// By consumer.
    pub(crate) lag: Vec<(&'static str, u64)>,
}

/// A consumer's end of the bus.
#[derive(Debug)]
pub(crate) enum Subscription {
    /// Reads the rows.
    InProcess(in_process::Subscription),
    /// Asks a server.
    JetStream(jet_stream::subscription::Subscription),
}

impl Subscription {
    /// The next messages, once there are any. Each is in hand until it is settled.
    ///
    /// # Errors
    /// When the bus does not answer; ask again after a while.
    pub(crate) async fn next(&mut self) -> Result<Vec<Received>, Error> {
        match self {
            Self::InProcess(subscription) => Ok(subscription.next().await?),
            Self::JetStream(subscription) => subscription.next().await,
        }
    }

    /// Gives back what has arrived and nobody has taken: it comes again after `delay`, to another process.
    pub(crate) async fn close(self, delay: Duration) {
        match self {
            // What is not settled is found by whoever starts next.
            Self::InProcess(_) => {}
            Self::JetStream(subscription) => subscription.close(delay).await,
        }
    }
}
