//! How long to wait before the next try: longer after each failure, and never the same for two routers.

use std::time::Duration;

use uuid::Uuid;

/// After the first failure: a control plane that was restarted is back within a second.
const FIRST: Duration = Duration::from_millis(100);
/// At most: an outage may last for hours, and its end must be noticed within seconds.
const LONGEST: Duration = Duration::from_secs(4);

/// The pace of one caller.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
}

impl Pace {
    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait now, between one and one and a half of a time that doubles.
    pub(super) fn next(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // The last byte of such an id is random.
        wait + wait.mul_f64(f64::from(Uuid::new_v4().as_bytes()[15]) / 512.0)
    }
}
