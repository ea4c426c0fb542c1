//! The JetStream arm: streams and buckets on a nats-server, which may lose, repeat and reorder. The database is the record.

mod address;
mod buckets;
mod connection;
mod examine;
mod found;
mod init;
mod kept;
mod link;
mod messages;
mod nkey;
mod publish;
mod queue;
pub(crate) mod relay;
mod remembered;
mod repair;
mod server;
mod step;
mod stops;
mod streams;
pub(crate) mod subscription;
mod users;

use std::time::Duration;

use proto::{Message, RolloutCommand};
use store::{Outgoing, Store};
use tokio::sync::watch;

pub use address::{NatsUrl, NoNatsUrl};
pub use connection::Connection;
pub use examine::examine_bus;
pub use init::{Done, Wanted, init};
pub use messages::Messages;
pub use nkey::{NoSeed, new_seed, public_key};
pub use remembered::{Remembered, SaidThere, remembered};
pub use server::{Answer, Found, Server};
pub use streams::Size;
pub(crate) use streams::Stream;
pub use users::{ADMIN, User, configuration, users};

use super::{Bucket, Entry, Error, Stops, Values};
use crate::clock::Clock;
use crate::commit::Say;
use crate::metrics::Metrics;
use crate::say::{Stamped, row};
use relay::{Outbox, publish_now};

/// A bus over a nats-server.
#[derive(Debug, Clone)]
pub struct JetStream {
    connection: Connection,
    buckets: buckets::Buckets,
    stops: stops::Stops,
}

impl JetStream {
    /// Watches these buckets, and hears stops if it is to, as soon as there is a server; see [`JetStream::filled`].
    #[must_use]
    pub fn open(connection: &Connection, (watched, hears_stops): (&[Bucket], bool), metrics: &Metrics) -> Self {
        Self {
            connection: connection.clone(),
            buckets: buckets::Buckets::open(connection, watched, metrics),
            stops: stops::Stops::open(connection, hears_stops),
        }
    }

    /// Begins to publish what `services` say.
    pub(super) fn messages_of(
        &self,
        services: &'static [&'static str],
        (store, clock): (Store, Clock),
        metrics: &Metrics,
    ) -> Messages {
        Messages::start(self.connection.clone(), Outbox { store, clock, services }, metrics)
    }

    /// Ends once everything that is watched was read: before, every bucket seems to be empty.
    pub async fn filled(&self) {
        self.buckets.filled().await;
    }

    /// Why the process can't be given work, if that is for want of a server.
    #[must_use]
    pub fn ailing(&self) -> Option<String> {
        self.connection.ailing()
    }

    /// See [`super::Bus::watch`].
    #[must_use]
    pub fn watch(&self, bucket: Bucket) -> watch::Receiver<Values> {
        self.buckets.watch(bucket)
    }

    /// See [`super::Bus::put`].
    ///
    /// # Errors
    /// When the server does not answer: the value may be there all the same.
    pub async fn put(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        self.buckets.put(bucket, key, entry).await
    }

    /// See [`super::Bus::set`].
    ///
    /// # Errors
    /// When the server does not answer: the value may be there all the same.
    pub async fn set(&self, bucket: Bucket, key: &str, value: &str) -> Result<(), Error> {
        self.buckets.set(bucket, key, value).await
    }

    /// See [`super::Bus::is_fresh`].
    #[must_use]
    pub fn is_fresh(&self, bucket: Bucket, key: &str) -> bool {
        self.buckets.is_fresh(bucket, key)
    }

    /// How long ago a value was put, by the server's clock.
    #[must_use]
    pub fn age(&self, bucket: Bucket, key: &str) -> Option<Duration> {
        self.buckets.age(bucket, key)
    }

    /// See [`super::Bus::stop`].
    ///
    /// # Errors
    /// When the server does not answer: the stop may be heard all the same.
    pub async fn stop(&self, stamped: &Stamped<'_>, id: &str, command: &RolloutCommand) -> Result<(), Error> {
        let say = Say { id: id.to_owned(), message: Message::RolloutStop(command.clone()) };
        self.stops.say(row(stamped, &say)).await
    }

    pub(super) async fn publish(&self, messages: &[Outgoing]) -> Result<(), Error> {
        publish_now(self.connection.jetstream(), messages).await
    }

    /// See [`super::Bus::stops`].
    #[must_use]
    pub fn stops(&self) -> Stops {
        self.stops.listen()
    }
}
