//! How many streams each client holds open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::problem::{Answer, Refusal};

/// Streams of one client: some pages of some people.
const STREAMS_MAX: usize = 20;

/// Who asks, as far as it can be known without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The open streams by client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Peer, usize>>>);

/// The place of one open stream, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    streams: Streams,
    peer: Peer,
}

impl Streams {
    /// Takes a place.
    pub(crate) fn enter(&self, peer: Peer) -> Answer<Slot> {
        let mut open = self.counts();
        let count = open.entry(peer).or_default();
        if *count >= STREAMS_MAX {
            return Err(Refusal::too_many(format!(
                "{STREAMS_MAX} event streams of this client are open, which is as many as one may have; close one"
            )));
        }
        *count += 1;
        Ok(Slot { streams: self.clone(), peer })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Peer, usize>> {
        self.0.lock().expect("no holder of the counts panics")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.streams.counts();
        let left = open.get(&self.peer).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            open.remove(&self.peer);
        } else {
            open.insert(self.peer, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_stream_ends_and_others_have_their_own() {
        let (streams, one, other) =
            (Streams::default(), Peer(IpAddr::from([127, 0, 0, 1])), Peer(IpAddr::from([127, 0, 0, 2])));
        let mut slots: Vec<_> = (0..STREAMS_MAX).map(|_| streams.enter(one).expect("there is room")).collect();
        assert!(streams.enter(one).is_err());
        assert!(streams.enter(other).is_ok());
        slots.pop();
        assert!(streams.enter(one).is_ok());
        slots.clear();
        assert!(streams.counts().is_empty());
    }
}
