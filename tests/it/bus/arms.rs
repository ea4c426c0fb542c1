//! Both arms of the bus, for what both promise of buckets and stops.

use std::ops::Deref;

use ::chassis::{Bucket, Connection, Entry, JetStream, Metrics, Size, Stops, Values, Wanted, init};
use tokio::sync::watch;

use super::*;
use crate::nats::Nats;

/// A nats-server that is set up, and a process that has it as its bus.
pub(super) struct Served {
    pub(super) nats: Nats,
    pub(super) peer: Peer,
}

/// A process that has a nats-server as its bus.
pub(super) struct Peer {
    pub(super) bus: JetStream,
    pub(super) metrics: Metrics,
}

impl Served {
    pub(super) async fn start() -> Self {
        let nats = Nats::start();
        init(&nats.url().parse().unwrap(), Wanted { size: Size::Small, replicas: 1, besides: &[] }).await.unwrap();
        Self { peer: Peer::of(&nats, "admin").await, nats }
    }

    /// Kills the server, does something with its folder, and starts it again.
    pub(super) fn kill(&mut self, meanwhile: impl FnOnce(&Nats)) {
        self.nats.kill();
        meanwhile(&self.nats);
        self.nats.start_again();
    }
}

impl Peer {
    /// One that knows all that there is.
    pub(super) async fn of(nats: &Nats, user: &str) -> Self {
        let metrics = Metrics::default();
        let connection = Connection::open(&nats.url_of(user).parse().unwrap(), "api", &metrics).await.unwrap();
        let watched = [Bucket::Route, Bucket::Router, Bucket::Beat];
        let bus = JetStream::open(&connection, (&watched, true), &metrics);
        assert!(tokio::time::timeout(LIMIT, bus.filled()).await.is_ok(), "the buckets can't be read");
        Self { bus, metrics }
    }

    /// Waits until the values hold what is asked for.
    pub(super) async fn sees(&self, bucket: Bucket, what: &str, is_so: impl Fn(&Values) -> bool) {
        let mut values = self.bus.watch(bucket);
        let seen = tokio::time::timeout(LIMIT, values.wait_for(|values| is_so(values))).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "in vain: {what}");
    }
}

impl Deref for Peer {
    type Target = JetStream;

    fn deref(&self) -> &JetStream {
        &self.bus
    }
}

/// Either arm.
pub(super) enum Arm {
    InProcess(Box<Process>),
    JetStream(Box<Served>),
}

impl Arm {
    pub(super) async fn both() -> [Self; 2] {
        [Self::InProcess(Box::new(Process::start().await)), Self::JetStream(Box::new(Served::start().await))]
    }

    pub(super) fn watch(&self, bucket: Bucket) -> watch::Receiver<Values> {
        match self {
            Self::InProcess(process) => process.core.bus.watch(bucket),
            Self::JetStream(served) => served.peer.watch(bucket),
        }
    }

    pub(super) fn entry(&self, bucket: Bucket, key: &str) -> Option<Entry> {
        self.watch(bucket).borrow().get(key).cloned()
    }

    pub(super) async fn put(&self, bucket: Bucket, key: &str, entry: Entry) -> Option<i64> {
        match self {
            Self::InProcess(process) => process.core.bus.put(bucket, key, entry).await.unwrap(),
            Self::JetStream(served) => served.peer.put(bucket, key, entry).await.unwrap(),
        }
    }

    pub(super) async fn set(&self, bucket: Bucket, key: &str, value: &str) {
        match self {
            Self::InProcess(process) => process.core.bus.set(bucket, key, value.to_owned()).await.unwrap(),
            Self::JetStream(served) => served.peer.set(bucket, key, value).await.unwrap(),
        }
    }

    pub(super) fn stops(&self) -> Stops {
        match self {
            Self::InProcess(process) => process.core.bus.stops(),
            Self::JetStream(served) => served.peer.stops(),
        }
    }

    pub(super) async fn stop(&self, command: &RolloutCommand) {
        let stamped = Stamped { service: "api", at: NOON, trace: &Trace::from_parent(None) };
        match self {
            Self::InProcess(process) => process.core.bus.stop(&stamped, "cmd.1", command).await.unwrap(),
            Self::JetStream(served) => served.peer.stop(&stamped, "cmd.1", command).await.unwrap(),
        }
    }
}
