//! One closed tick of the ledger: the increments of all signals in one slice of time.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::SignalName;
use crate::signal::{SeriesSignals, Signals};
use crate::verdict::{Outcome, Reason};

/// The two arms that a verdict compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that is being tried.
    Candidate,
    /// The version that is in use.
    Stable,
}

/// Why a signal could not be read in a tick. Whatever was known of it before, it passes nothing meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The source did not answer, or not as it should.
    SourceFailed,
    /// The source refuses the question, or it can't be asked.
    QueryRefused,
    /// The source gave more samples than are read.
    TooManySamples,
    /// One number was expected, and there are several.
    SeveralSeries,
    /// The one number is NaN or infinite.
    NotANumber,
}

impl Trouble {
    /// What a check comes to that needs the signal; `is_long`: for as long as the check puts up with it.
    #[must_use]
    pub const fn result(self, is_long: bool) -> (Outcome, Reason) {
        match self {
            Self::SourceFailed if is_long => (Outcome::Error, Reason::SourceFailed),
            Self::SourceFailed => (Outcome::NoData, Reason::SourceFailed),
            Self::QueryRefused => (Outcome::Error, Reason::QueryRefused),
            Self::TooManySamples => (Outcome::Error, Reason::TooManySamples),
            Self::SeveralSeries => (Outcome::Inconclusive, Reason::SeveralSeries),
            Self::NotANumber => (Outcome::NoData, Reason::NotANumber),
        }
    }
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
    /// Increments of the stable arm by series, where those are replicas of each other: from them its dispersion is estimated.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stable_series: SeriesSignals,
    /// How many sources have counted sessions so far in the rollout, each start of one by itself.
    pub routers: u32,
    /// Counters that began anew, by signal, in either arm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resets: BTreeMap<SignalName, u64>,
    /// The signals that could not be read, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub troubles: BTreeMap<SignalName, Trouble>,
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
