//! Process time beside the wall clock: small differences are slewed, jumps are never followed forwards.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rollout::At;
use tokio_util::sync::CancellationToken;

use super::{Clock, Machine};

/// How often the two are compared, in seconds; each second moves process time by a millisecond at most.
const COMPARED_EACH: u32 = 10;
/// A difference up to this, in milliseconds, is slewed.
const SLEWED: i64 = 2_000;

/// What a look at the wall clock says, in milliseconds; below zero the wall clock is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Nothing to do.
    Keep,
    /// A small difference, to be taken up slowly.
    Slew(i64),
    /// The wall clock was set.
    Jump {
        /// By how much.
        by: i64,
    },
}

/// Compares process time with the wall clock.
#[must_use]
pub const fn compare(own: At, wall: At) -> Compared {
    match wall.0.saturating_sub(own.0) {
        0 => Compared::Keep,
        by if by.saturating_abs() <= SLEWED => Compared::Slew(by),
        by => Compared::Jump { by },
    }
}

impl Clock {
    /// Keeps process time beside the wall clock until `stop`, and calls `jumped` for each jump. A manual clock needs no keeping.
    pub async fn keep(self, stop: CancellationToken, jumped: impl Fn() + Send) {
        let Self::System(machine) = self else { return };
        let mut ahead = 0;
        loop {
            let mut slew = match compare(machine.now().plus_ms(ahead), (machine.wall)()) {
                Compared::Keep => 0,
                Compared::Slew(by) => by,
                Compared::Jump { by } => {
                    jumped();
                    ahead = machine.jump(ahead, by);
                    0
                }
            };
            for _ in 0..COMPARED_EACH {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = stop.cancelled() => return,
                }
                machine.shift(slew.signum());
                slew -= slew.signum();
            }
        }
    }
}

impl Machine {
    pub(super) fn shift(&self, by: i64) {
        self.started_at.fetch_add(by, Ordering::SeqCst);
    }

    /// The wall clock, which was `ahead` by jumps before, was set: backwards is followed, because late is safe; forwards is not,
    /// because deadlines would come early. Gives by how much the wall clock is ahead now.
    fn jump(&self, ahead: i64, by: i64) -> i64 {
        let ahead = ahead.saturating_add(by);
        self.shift(ahead.min(0));
        let (size, direction) = (by.saturating_abs(), if by > 0 { "forwards" } else { "backwards" });
        if by > 0 {
            tracing::warn!(
                "the wall clock jumped {direction} by {size} ms; this process stays on its own time until it restarts"
            );
        } else {
            tracing::warn!(
                "the wall clock jumped {direction} by {size} ms; what waits for a time of day is late by as much at most"
            );
        }
        if ahead > SLEWED { ahead } else { 0 }
    }
}
