//! What a server has lost is published again, out of the rows that are kept after their publication (RELIABILITY section 1.4).
//!
//! A server that died may have lost the last seconds, so what was published lately comes again. A stream that ends before what
//! it acknowledged, has something else in its place, or was made anew, has lost more than that: everything that is kept comes
//! again, and is counted. Whoever has heard it before knows it by its id.

use std::collections::BTreeMap;

use rollout::At;

use super::relay::Outbox;
use super::server::{Found, Server};
use super::streams::{STREAMS, Stream};
use crate::bus::Error;
use crate::metrics::Metrics;

/// A server that writes each message to its disk loses no more than this, in milliseconds.
const LATELY_MS: i64 = 30_000;

/// What is known of the servers whose streams we filled.
#[derive(Debug)]
pub(super) struct Repair {
    metrics: Metrics,
    /// The connection that was looked at last.
    taken: u64,
    /// The server of that connection.
    server: Option<String>,
    /// When each stream was made, in nanoseconds since 1970.
    made: BTreeMap<&'static str, i128>,
}

impl Repair {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, taken: 0, server: None, made: BTreeMap::new() }
    }

    /// Whether the connection is another one than the one that was looked at.
    pub(super) fn is_due(&self, to: &impl Server) -> bool {
        self.taken != to.taken()
    }

    pub(super) async fn run(&mut self, outbox: &Outbox, to: &impl Server) -> Result<(), Error> {
        let taken = to.taken();
        let server = to.identity().await?;
        // Before anything is published again, which makes its old place in the stream forgotten.
        for stream in STREAMS.iter().filter(|stream| stream.is_of_messages()) {
            self.look_at(stream, outbox, to).await?;
        }
        if self.server.as_ref() != Some(&server) {
            let lately = outbox.clock.now().plus_ms(-LATELY_MS);
            for service in outbox.services {
                let rows = outbox.store.publish_again(service, "", lately).await?;
                tracing::debug!(service, "another server: {rows} messages of {service} are published again");
            }
        }
        (self.server, self.taken) = (Some(server), taken);
        Ok(())
    }

    async fn look_at(&mut self, stream: &Stream, outbox: &Outbox, to: &impl Server) -> Result<(), Error> {
        let mut acknowledged = None::<(i64, String)>;
        for service in outbox.services {
            for lane in lanes(stream) {
                acknowledged =
                    acknowledged.max(outbox.store.reader().await?.rows().last_sequence(service, &lane).await?);
            }
        }
        // Of other streams a service knows nothing, and may ask nothing.
        let Some((acknowledged, id)) = acknowledged else { return Ok(()) };
        let missing = || Error::Nats { doing: "compare a stream", cause: format!("{} is missing", stream.name) };
        let Found { made, last } = to.stream(stream.name).await?.ok_or_else(missing)?;
        let was_made = self.made.get(stream.name).copied().unwrap_or(made);
        let is_before = i64::try_from(last).is_ok_and(|last| last < acknowledged);
        if was_made != made || is_before || is_another(stream, (acknowledged, &id), to).await? {
            self.metrics.broker_went_back();
            let mut rows = 0;
            for service in outbox.services {
                for lane in lanes(stream) {
                    rows += outbox.store.publish_again(service, &lane, At(0)).await?;
                }
            }
            tracing::error!(
                "the server went back: {} ends at {last} and had acknowledged {acknowledged}; {rows} messages are published again",
                stream.name
            );
        }
        self.made.insert(stream.name, made);
        Ok(())
    }
}

/// Whether what was acknowledged is not there, and others have said so much since that something else is. What is so old that its
/// stream has forgotten it says nothing.
async fn is_another(stream: &Stream, (sequence, id): (i64, &str), to: &impl Server) -> Result<bool, Error> {
    let Ok(sequence) = u64::try_from(sequence) else { return Ok(false) };
    Ok(to.id_at(stream.name, sequence).await?.is_some_and(|there| there != id))
}

/// What the subjects of a stream begin with.
fn lanes(stream: &Stream) -> impl Iterator<Item = String> {
    stream.subjects.iter().map(|subjects| subjects.trim_end_matches('>').to_owned())
}
