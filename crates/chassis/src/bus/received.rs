//! A message as a consumer takes it from either arm, and what the consumer does about it.

use bytes::Bytes;
use rollout::At;

use super::in_process;

/// A message as a consumer takes it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Where it went.
    pub(crate) subject: String,
    /// Headers beside the event, as a JSON object.
    pub(crate) headers: String,
    /// The event.
    pub(crate) body: Bytes,
    /// When it was said.
    pub(crate) said_at: At,
    /// Its place in the stream, in words that no other message of it has.
    pub(crate) place: String,
    /// Source and id by which it is known where its body can't be read.
    pub(crate) known_as: (String, String),
    /// What the bus does about it.
    pub(crate) handle: Handle,
}

/// What a consumer says of a message that it has in hand.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    /// Of a row.
    InProcess(in_process::Held),
}

impl Handle {
    /// Whether it may have been in hand before: of this process before a death, or of another one.
    pub(crate) fn was_delivered_before(&self) -> bool {
        match self {
            Self::InProcess(held) => held.was_delivered_before(),
        }
    }

    /// It is settled, and need not come again.
    pub(crate) fn settled(&self) {
        match self {
            Self::InProcess(held) => held.settled(),
        }
    }
}
