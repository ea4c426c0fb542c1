//! Which session asks next, and what each session has been served by.

use std::time::Instant;

/// More versions than this in one run are folded into the last one, because a trail has one bit for each.
pub(super) const VERSIONS_MAX: usize = 64;

/// Draws sessions: SplitMix64, so that a seed gives the same order everywhere.
#[derive(Debug)]
pub(super) struct Draws {
    state: u64,
    sessions: u64,
}

/// The versions that answered one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    /// The version that answered last and when its answer began.
    last: Option<(usize, Instant)>,
    /// One bit for each version that ever answered.
    served_by: u64,
    has_returned: bool,
}

/// What one more answer means for its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// The session had never been served by this version.
    pub(super) is_first_of_version: bool,
    /// The version before, if it was another one.
    pub(super) changed_from: Option<usize>,
    /// The session had left this version and is back.
    pub(super) is_return: bool,
    /// It is the first return of the session.
    pub(super) is_first_return: bool,
    /// The request was sent before the last answer began, so their order says nothing.
    pub(super) is_overlapping: bool,
}

impl Draws {
    pub(super) fn new(seed: u64, sessions: u32) -> Self {
        Self { state: seed, sessions: u64::from(sessions.max(1)) }
    }

    pub(super) fn next_session(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let word = word ^ (word >> 31);
        // The upper half times the pool, shifted back down: no division, and no bias worth naming.
        let session = ((word >> 32) * self.sessions) >> 32;
        u32::try_from(session).expect("the draw is below the number of sessions, a u32")
    }
}

impl Trail {
    /// Whether no version has answered yet.
    pub(super) fn is_new(&self) -> bool {
        self.served_by == 0
    }

    pub(super) fn step(&mut self, version: usize, sent_at: Instant, begun_at: Instant) -> Step {
        let bit = 1_u64 << version;
        let is_first_of_version = self.served_by & bit == 0;
        self.served_by |= bit;
        let mut step = Step { is_first_of_version, ..Step::default() };
        match self.last {
            Some((_, last_begun_at)) if sent_at < last_begun_at => {
                step.is_overlapping = true;
                return step;
            }
            Some((last, _)) if last != version => {
                step.changed_from = Some(last);
                step.is_return = !is_first_of_version;
                step.is_first_return = step.is_return && !self.has_returned;
                self.has_returned |= step.is_return;
            }
            _ => {}
        }
        self.last = Some((version, begun_at));
        step
    }
}
