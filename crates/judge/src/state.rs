//! What the judge remembers between ticks: small, bounded by the policy, and the same after a trip through JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::metric::SignalName;
use crate::sequential::fold::Evidence;
use crate::sequential::split_drift::SplitDrift;
use crate::signal::Signals;
use crate::tick::Trouble;
use crate::verdict::{Comparison, Outcome, Reason};
use crate::window::Measured;

/// The version of the state's form. Another one is refused when a state is read.
const VERSION: u32 = 1;

/// Everything the judge carries from tick to tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    /// Ticks folded so far.
    pub(crate) ticks: u64,
    /// The newest tick.
    pub(crate) last: Option<Moment>,
    /// Each rule's last round, in the policy's order.
    pub(crate) rules: Vec<RuleState>,
    /// Failed rounds, by counter.
    pub(crate) counters: Vec<u32>,
    /// The signals that could not be read in the newest tick, and for how long without a break.
    #[serde(default)]
    pub(crate) troubles: BTreeMap<SignalName, Troubled>,
    /// Counters that began anew in this step, by signal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) resets: BTreeMap<SignalName, u64>,
    /// Totals of the stable arm in the hour before the rollout.
    pub(crate) baseline: Signals,
    /// What the sequential gates have come to; absent before the first tick, or without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<Evidence>,
    /// Whether users get the share that was asked for.
    #[serde(default)]
    pub(crate) split: SplitDrift,
}

/// Where the rollout stood at the newest tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) step: u32,
    pub(crate) tick: u64,
    pub(crate) elapsed_ms: i64,
    pub(crate) held_ms: i64,
    pub(crate) warmup: bool,
    pub(crate) stable_planned: bool,
    /// Ticks of the step.
    pub(crate) ticks: u64,
    /// Those in which nothing arrived.
    pub(crate) empty_ticks: u64,
    /// Whether the round at the dwell's end was held.
    pub(crate) dwell_ended: bool,
}

/// A signal that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Troubled {
    pub(crate) trouble: Trouble,
    pub(crate) for_ms: i64,
}

/// What is remembered of one rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct RuleState {
    /// Its last round in this step.
    pub(crate) round: Option<Round>,
    /// A breach that leads to a rollback stays, whatever later ticks say.
    pub(crate) is_latched: bool,
}

/// One round of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) elapsed_ms: i64,
    pub(crate) result: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) comparison: Comparison,
    pub(crate) candidate: Option<Measured>,
    pub(crate) stable: Option<Measured>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            ticks: 0,
            last: None,
            rules: Vec::new(),
            counters: Vec::new(),
            troubles: BTreeMap::new(),
            resets: BTreeMap::new(),
            baseline: Signals::new(),
            evidence: None,
            split: SplitDrift::default(),
        }
    }
}

impl State {
    /// Number of the newest tick that was folded; 0 before the first.
    #[must_use]
    pub fn last_tick(&self) -> u64 {
        self.last.map_or(0, |last| last.tick)
    }

    /// Totals of the stable arm in the hour before the rollout.
    #[must_use]
    pub const fn baseline(&self) -> &Signals {
        &self.baseline
    }
}

fn known_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(from)?;
    if version == VERSION {
        return Ok(version);
    }
    Err(de::Error::custom(format!("judge state of version {version}: this build reads version {VERSION}")))
}
