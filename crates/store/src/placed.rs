//! Messages of the outbox with their place in it.

use std::collections::BTreeMap;

use crate::rows::Outgoing;

/// A message of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the outbox.
    pub position: i64,
    /// What is said.
    pub message: Outgoing,
}

impl Placed {
    /// Of messages that were to be said, those that were not said before, by their ids; in the order of the messages.
    #[must_use]
    pub fn of(messages: Vec<Outgoing>, said: Vec<(i64, String)>) -> Vec<Self> {
        let mut positions: BTreeMap<_, _> = said.into_iter().map(|(position, id)| (id, position)).collect();
        let placed = |message: Outgoing| Some(Self { position: positions.remove(&message.message_id)?, message });
        messages.into_iter().filter_map(placed).collect()
    }
}
