//! What a relay asks of a server: nothing here says how it is asked.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use store::Outgoing;

use super::connection::{Connection, REQUEST_LIMIT};
use super::found::{id_at, stream_info};
use super::publish::publish;
use crate::bus::Error;

/// What became of a publication.
#[derive(Debug)]
pub enum Answer {
    /// It is in the stream, at this place; perhaps it was there before.
    Taken(u64),
    /// It is too large: no server takes it, ever.
    Never(String),
    /// Nobody knows, so the same id is published again.
    Unknown(Error),
}

/// A stream as a server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// When it was made, in nanoseconds since 1970.
    pub made: i128,
    /// The place of its last message.
    pub last: u64,
}

/// A server, and what it says of its streams.
pub trait Server: Send + Sync {
    /// Whether there is one.
    fn is_up(&self) -> bool;
    /// How often one has taken us.
    fn taken(&self) -> u64;
    /// Who it is, by its own word of now.
    fn identity(&self) -> BoxFuture<'_, Result<String, Error>>;
    /// A stream; none where there is none of this name.
    fn stream(&self, name: &'static str) -> BoxFuture<'_, Result<Option<Found>, Error>>;
    /// The id of the message at a place of a stream; none where none is there.
    fn id_at(&self, name: &'static str, sequence: u64) -> BoxFuture<'_, Result<Option<String>, Error>>;
    /// Publishes a message, and waits for the answer.
    fn publish(&self, message: &Outgoing) -> BoxFuture<'static, Answer>;
}

impl Server for Connection {
    fn is_up(&self) -> bool {
        self.is_up()
    }

    fn taken(&self) -> u64 {
        self.taken()
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, Error>> {
        async {
            // An answer comes after the server has said who it is.
            let flushed = tokio::time::timeout(REQUEST_LIMIT, self.jetstream().client().flush()).await;
            flushed
                .map_err(|late| Error::nats("reach the server", &late))?
                .map_err(|cause| Error::nats("reach the server", &cause))?;
            Ok(self.jetstream().client().server_info().server_id)
        }
        .boxed()
    }

    fn stream(&self, name: &'static str) -> BoxFuture<'_, Result<Option<Found>, Error>> {
        async move {
            let info = stream_info(self.jetstream(), name).await?;
            Ok(info.map(|info| Found { made: info.created.unix_timestamp_nanos(), last: info.state.last_sequence }))
        }
        .boxed()
    }

    fn id_at(&self, name: &'static str, sequence: u64) -> BoxFuture<'_, Result<Option<String>, Error>> {
        id_at(self.jetstream(), name, sequence).boxed()
    }

    fn publish(&self, message: &Outgoing) -> BoxFuture<'static, Answer> {
        let (jetstream, message) = (self.jetstream().clone(), message.clone());
        async move { publish(&jetstream, &message).await }.boxed()
    }
}
