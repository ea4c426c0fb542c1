//! Waits between tries: each twice the one before, up to a longest, and never the same for many at once.

use std::time::Duration;

use uuid::Uuid;

/// The first wait and the longest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackOff(pub(crate) Duration, pub(crate) Duration);

impl BackOff {
    /// The wait after so many tries in vain, with up to a quarter more.
    pub(crate) fn after(self, tries: u32) -> Duration {
        let Self(first, longest) = self;
        let wait = first.saturating_mul(1 << tries.min(16)).min(longest);
        wait + wait / 4 * u32::from(Uuid::new_v4().as_bytes()[0]) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_a_quarter_more() {
        let back_off = BackOff(Duration::from_millis(50), Duration::from_secs(5));
        for (tries, milliseconds) in [(0, 50), (1, 100), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)] {
            let wait = back_off.after(tries).as_millis();
            assert!((milliseconds..=milliseconds + milliseconds / 4).contains(&wait), "{tries}: {wait}");
        }
    }
}
