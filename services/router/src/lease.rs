//! How long ago the control part was last heard, by this router's own clock: monotonic while it runs, the wall clock over a
//! restart. A beat counts when it differs from the one before; what it says of the time does not matter.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rollout::Route;
use tokio::time::Instant;

use crate::counts::now_ms;
use crate::saved::SavedBeat;

/// The last beat.
#[derive(Debug)]
pub(crate) struct Lease(Mutex<Heard>);

#[derive(Debug)]
struct Heard {
    beat: String,
    since: Instant,
    /// How old it was at `since`.
    age: Duration,
}

impl Lease {
    /// Goes on with the saved beat. Without one, the age of the saved routes counts; without any, the router begins to wait now.
    pub(crate) fn load(saved: Option<SavedBeat>, routes_saved_at_ms: u64) -> Self {
        let (beat, heard_at_ms) = match saved {
            Some(saved) => (saved.beat, saved.heard_at_ms),
            None if routes_saved_at_ms > 0 => (String::new(), routes_saved_at_ms),
            None => (String::new(), now_ms()),
        };
        // A time in the future is a clock that was turned back: nobody knows how long it has been, so it is too long.
        let age = now_ms().checked_sub(heard_at_ms).map_or(Duration::MAX, Duration::from_millis);
        Self(Mutex::new(Heard { beat, since: Instant::now(), age }))
    }

    /// Hears a beat; gives it to be saved, if it is another one.
    pub(crate) fn hear(&self, beat: &str) -> Option<SavedBeat> {
        let mut heard = self.heard();
        if heard.beat == beat {
            return None;
        }
        *heard = Heard { beat: beat.to_owned(), since: Instant::now(), age: Duration::ZERO };
        Some(SavedBeat { beat: beat.to_owned(), heard_at_ms: now_ms() })
    }

    /// How long ago the last beat was.
    pub(crate) fn age(&self) -> Duration {
        let heard = self.heard();
        heard.age.saturating_add(heard.since.elapsed())
    }

    /// Whether a route must not serve its candidates any more.
    pub(crate) fn is_over(&self, route: &Route) -> bool {
        route.lease_seconds.is_some_and(|seconds| self.age() >= Duration::from_secs(u64::from(seconds)))
            && route.candidate_points() > 0
    }

    /// The beat as it is saved with a route that needs it.
    pub(crate) fn saved(&self) -> SavedBeat {
        let age = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        SavedBeat { beat: self.heard().beat.clone(), heard_at_ms: now_ms().saturating_sub(age) }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().expect("no holder of the last beat panics")
    }
}
