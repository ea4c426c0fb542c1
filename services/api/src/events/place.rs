//! A place in the log: `<decided_at>.<rollout>.<version>`, the id of an event.

use std::fmt;

use axum::http::HeaderMap;
use rollout::{At, RolloutId};
use store::Transition;

use crate::problem::{Answer, Refusal};

/// A place in the log of all rollouts. Ordered as the log is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) at: At,
    pub(crate) rollout: String,
    pub(crate) version: i64,
}

impl Place {
    /// Before everything that was decided at `at`.
    pub(crate) const fn at(at: At) -> Self {
        Self { at, rollout: String::new(), version: 0 }
    }

    pub(crate) fn of(entry: &Transition) -> Self {
        Self { at: entry.decided_at, rollout: entry.rollout_id.to_string(), version: entry.version }
    }

    fn read(text: &str) -> Option<Self> {
        let (at, rest) = text.split_once('.')?;
        let (rollout, version) = rest.split_once('.')?;
        let rollout = RolloutId::new(rollout).ok()?.to_string();
        let (at, version) = (at.parse().ok()?, version.parse().ok()?);
        (at >= 0 && version >= 1).then_some(Self { at: At(at), rollout, version })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at.0, self.rollout, self.version)
    }
}

/// Where a client says that it stopped reading.
pub(crate) fn resumed(headers: &HeaderMap) -> Answer<Option<Place>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let place = value.to_str().ok().and_then(Place::read);
    place.map(Some).ok_or_else(|| {
        Refusal::bad_request("Last-Event-ID must be the id of an event of this stream; leave it out to begin now")
            .field("Last-Event-ID")
    })
}
