//! One closed tick of the ledger: the increments of all signals in one slice of time.

use serde::{Deserialize, Serialize};

use crate::signal::Signals;

/// The two arms that a verdict compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that is being tried.
    Candidate,
    /// The version that is in use.
    Stable,
}

/// One closed tick.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// Index of the step, from 0; an index beyond the plan is baking.
    pub step: u32,
    /// Number of the tick in the rollout, from 1, over all steps.
    pub tick: u64,
    /// Milliseconds from the step's `applied_at` to the tick's end.
    pub elapsed_ms: i64,
    /// Milliseconds of those that the step was paused.
    pub held_ms: i64,
    /// Whether it lies in the warm-up.
    pub warmup: bool,
    /// Whether the step leaves traffic to the stable arm.
    pub stable_planned: bool,
    /// Increments of the candidate.
    pub candidate: Signals,
    /// Increments of the stable arm.
    pub stable: Signals,
    /// Whether the source could not be read.
    pub source_failed: bool,
}

impl Tick {
    /// The signals of an arm.
    #[must_use]
    pub const fn arm(&self, arm: Arm) -> &Signals {
        match arm {
            Arm::Candidate => &self.candidate,
            Arm::Stable => &self.stable,
        }
    }

    /// Whether nothing arrived in either arm.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidate.is_empty() && self.stable.is_empty()
    }
}
