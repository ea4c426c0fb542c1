//! A message as a consumer takes it from either arm, and what the consumer says of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proto::{Event, Malformed};
use rollout::At;

use super::in_process;
use super::jet_stream::subscription;

/// A message as a consumer takes it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Where it went.
    pub(crate) subject: String,
    /// Headers beside the event, as a JSON object.
    pub(crate) headers: String,
    /// The event.
    pub(crate) body: Bytes,
    /// When it was said, or came into its stream.
    pub(crate) said_at: At,
    /// Its place in the stream, in words that no other message of it has.
    pub(crate) place: String,
    /// Source and id of whoever put it there, where the body tells of none.
    pub(crate) put_by: (String, String),
    /// What the bus does about it.
    pub(crate) handle: Handle,
}

impl Received {
    /// Source and id by which it is known although it can't be taken. What an outsider says of them is not believed then:
    /// another message may come to be known by the same ones, the one that was meant, or somebody else's.
    pub(crate) fn known_as(&self) -> (String, String) {
        if is_from_outside(&self.subject) {
            return self.put_by.clone();
        }
        Event::structured(&self.body).map_or_else(|_| self.put_by.clone(), |event| (event.source, event.id))
    }
}

/// Whether anybody may have put it there.
pub(crate) fn is_from_outside(subject: &str) -> bool {
    subject.starts_with("tg.in.")
}

/// The event of a message with these headers, a JSON object. We say events in structured mode; others may do as they like.
pub(crate) fn event(subject: &str, headers: &str, body: &[u8]) -> Result<Event, Malformed> {
    if !is_from_outside(subject) {
        return Event::structured(body);
    }
    let headers: BTreeMap<String, String> = serde_json::from_str(headers).unwrap_or_default();
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Event::read(&headers, body)
}

/// What a consumer says of a message that it has in hand.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    /// Of a row.
    InProcess(in_process::Held),
    /// Of a stream.
    JetStream(subscription::Held),
    /// Of whoever brought it, for so many times, and looks at what becomes of it.
    ByHand(u32),
}

impl Handle {
    /// How often it came, from 1. What is older than the process counts as one that came before.
    pub(crate) fn deliveries(&self) -> u32 {
        match self {
            Self::InProcess(held) => held.deliveries(),
            Self::JetStream(held) => held.deliveries(),
            Self::ByHand(deliveries) => *deliveries,
        }
    }

    /// Whether it may have been in hand before: of this process before a death, or of another one.
    pub(crate) fn was_delivered_before(&self) -> bool {
        self.deliveries() > 1
    }

    /// It is settled, and need not come again. `surely`: waits until the bus has heard that.
    pub(crate) async fn settled(&self, surely: bool) {
        match self {
            Self::InProcess(held) => held.settled(),
            Self::JetStream(held) => held.settled(surely).await,
            Self::ByHand(_) => {}
        }
    }

    /// It is to come again, to whoever asks next, but not before `delay` is over.
    pub(crate) async fn give_back(&self, delay: Duration) {
        match self {
            Self::InProcess(held) => held.give_back(delay),
            Self::JetStream(held) => held.give_back(delay).await,
            Self::ByHand(_) => {}
        }
    }
}
