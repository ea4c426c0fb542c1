//! Services whose loops are turned by hand: a simulation says what happens next, how late, how often, and where a process dies.
//! What runs is the code of the loops: door, suspicion, step, parking, deadlines.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rollout::At;
use store::{Due, Placed, Rows, Store};

use crate::bus::jet_stream::relay::Outbox;
use crate::bus::{Bus, Handle, Received, jet_stream};
use crate::clock::Clock;
use crate::consume::take_once;
use crate::consumers::Consumer;
use crate::core::Core;
use crate::handler::{Failure, Handler};
use crate::metrics::Metrics;
use crate::wheel::{Arm, fire_once};

pub use crate::bus::jet_stream::{Answer, Found, Server};

/// What commits have handed over in memory: it is lost with its process, and then only the outbox has it.
#[derive(Debug, Clone, Default)]
pub struct Handed(Arc<Mutex<Vec<Placed>>>);

impl Handed {
    /// Takes all of it.
    #[must_use]
    pub fn take(&self) -> Vec<Placed> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn give(&self, said: &[Placed]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(said);
    }
}

/// A process over `store` in which nothing runs by itself.
///
/// # Errors
/// When the store does not answer.
pub async fn process(store: &Store, clock: Clock) -> Result<(Core, Handed), store::Error> {
    let handed = Handed::default();
    let bus = Bus::by_hand(store, &clock, handed.clone()).await?;
    Ok((Core::still(bus, store.clone(), clock, Metrics::default()), handed))
}

/// A message as a broker brings it.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Where it went.
    pub subject: String,
    /// The event.
    pub body: String,
    /// When it came into its stream.
    pub said_at: At,
    /// How often it was brought, from 1.
    pub deliveries: u32,
}

/// A service without its loops.
pub trait Service: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its durable consumers.
    fn consumers(&self) -> &'static [Consumer];
    /// Tries a message once; it is settled, refused and parked ones too, or has to come again.
    fn take(&self, brought: Brought) -> BoxFuture<'_, Result<(), Failure>>;
    /// Its deadlines that have passed.
    fn due<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Vec<Due>, Failure>>;
    /// Fires a deadline.
    fn fire(&self, due: Due) -> BoxFuture<'_, Result<(), Failure>>;
}

/// A service of `core` that somebody turns by hand.
pub fn service<H: Handler>(core: &Core, handler: H) -> Box<dyn Service> {
    Box::new(Turned { core: core.clone(), handler, arm: Arm::new().0 })
}

struct Turned<H> {
    core: Core,
    handler: H,
    arm: Arm,
}

impl<H: Handler> Service for Turned<H> {
    fn name(&self) -> &'static str {
        H::NAME
    }

    fn consumers(&self) -> &'static [Consumer] {
        H::CONSUMERS
    }

    fn take(&self, brought: Brought) -> BoxFuture<'_, Result<(), Failure>> {
        let received = Received {
            subject: brought.subject,
            headers: "{}".to_owned(),
            body: Bytes::from(brought.body),
            said_at: brought.said_at,
            place: String::new(),
            put_by: ("/tidegate/unreadable".to_owned(), String::new()),
            handle: Handle::ByHand(brought.deliveries),
        };
        Box::pin(async move { take_once(&self.core, &self.handler, &received, (&self.arm, 1)).await })
    }

    fn due<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Vec<Due>, Failure>> {
        Box::pin(self.handler.due(rows, self.core.clock.now().plus_ms(1), 100))
    }

    fn fire(&self, due: Due) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move { fire_once(&self.core, &self.handler, &due, &self.arm).await })
    }
}

/// The relay of a process, from its outbox to streams, turned by hand. Dropped, it dies with what it has in hand.
pub struct Relay<S>(jet_stream::relay::Relay<S>);

/// The relay of what `services` of `core` say.
pub fn relay<S: Server>(core: &Core, services: &'static [&'static str], server: S) -> Relay<S> {
    let outbox = Outbox { store: core.store.clone(), clock: core.clock.clone(), services };
    Relay(jet_stream::relay::Relay::new(outbox, server, &core.metrics))
}

impl<S: Server> Relay<S> {
    /// Takes what commits have handed over.
    pub fn take(&mut self, handed: Vec<Placed>) {
        self.0.take(handed);
    }

    /// Looks at what became of the server, and for rows that nobody has claimed.
    pub async fn look(&mut self) {
        self.0.look().await;
    }

    /// Publishes what there is room for, or holds it while there is no server.
    pub async fn send(&mut self) {
        self.0.send_or_hold().await;
    }

    /// Takes the answers that are here.
    pub fn hear(&mut self) {
        self.0.hear();
    }

    /// Whether there is nothing to send, to hear or to write down.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Writes down what the streams have said.
    pub async fn write_down(&mut self) {
        self.0.write_down().await;
    }
}
