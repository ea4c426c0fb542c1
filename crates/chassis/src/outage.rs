//! Since when a consumer can settle nothing: as long as it is patient it keeps what it has in hand and tries again; after that it
//! gives it back, because others may be able to.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Since when a consumer can settle nothing.
#[derive(Debug)]
pub(crate) struct Outage {
    patience: Duration,
    since: Mutex<Option<Instant>>,
}

impl Outage {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, since: Mutex::default() }
    }

    /// Something was settled.
    pub(crate) fn is_over(&self) {
        *self.since() = None;
    }

    /// Whether a message that failed, and was tried since `began`, is given back: for its own sake, or because nothing else was
    /// settled for as long either.
    pub(crate) fn is_too_long(&self, began: Instant) -> bool {
        let since = *self.since().get_or_insert(began);
        since.min(began).elapsed() >= self.patience
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().expect("no holder of the outage panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn in_an_outage_each_message_is_tried_and_none_waits_for_itself() {
        let outage = Outage::new(MINUTE);
        assert!(!outage.is_too_long(ago(59)));
        outage.is_over();
        assert!(outage.is_too_long(ago(61)));
        assert!(outage.is_too_long(Instant::now()), "nothing was settled for a minute");
        outage.is_over();
        assert!(!outage.is_too_long(Instant::now()));
    }

    #[test]
    fn a_message_that_fails_while_others_are_settled_is_given_back_too() {
        let outage = Outage::new(MINUTE);
        assert!(!outage.is_too_long(Instant::now()));
        assert!(outage.is_too_long(ago(61)));
    }
}
