//! The ledger of an analysis: what each arm did in each tick, never changed. From it every verdict can be computed again.

use std::collections::BTreeMap;

use judge::{SeriesSignals, SignalName, Signals, Tick, Trouble};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One arm's share of a tick.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LedgerEntry {
    /// Index of the step, from 0.
    pub step: u32,
    /// Milliseconds from the step's begin to the tick's end.
    pub elapsed_ms: i64,
    /// Milliseconds of those that the step was paused.
    pub held_ms: i64,
    /// Whether it lies in the warm-up.
    pub warmup: bool,
    /// Whether the step leaves traffic to the stable arm.
    pub stable_planned: bool,
    /// How many routers have counted sessions so far in the rollout, each start of one by itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub routers: u32,
    /// Increments of the arm.
    pub signals: Signals,
    /// Those of the stable arm by replica, where that is known.
    #[serde(default, skip_serializing_if = "SeriesSignals::is_empty")]
    pub series: SeriesSignals,
    /// Counters that began anew, by signal, in either arm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resets: BTreeMap<SignalName, u64>,
    /// The signals that could not be read, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub troubles: BTreeMap<SignalName, Trouble>,
    /// Of tick 0 alone: what the stable arm did in each minute of the hour before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hour: Vec<Signals>,
}

/// A tick of the ledger: both arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerTick {
    /// Its number, from 1 over all steps; 0 is the hour before.
    pub tick: i64,
    /// The candidate's share; absent for the hour before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<LedgerEntry>,
    /// The stable arm's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<LedgerEntry>,
}

impl LedgerTick {
    /// Both arms of each tick together, oldest first, from the shares of single arms: the tick, whether it is the candidate's, and it.
    #[must_use]
    pub fn gather(entries: impl IntoIterator<Item = (i64, bool, LedgerEntry)>) -> Vec<Self> {
        let mut ticks: BTreeMap<i64, Self> = BTreeMap::new();
        for (tick, is_candidate, entry) in entries {
            let known = ticks.entry(tick).or_insert(Self { tick, candidate: None, stable: None });
            *(if is_candidate { &mut known.candidate } else { &mut known.stable }) = Some(entry);
        }
        ticks.into_values().collect()
    }

    /// The tick as the judge folds it.
    #[must_use]
    pub fn tick(self) -> Tick {
        let mut tick = Tick { tick: u64::try_from(self.tick).unwrap_or(0), ..Tick::default() };
        for (entry, is_candidate) in [(self.candidate, true), (self.stable, false)] {
            let Some(entry) = entry else { continue };
            (tick.step, tick.elapsed_ms, tick.held_ms) = (entry.step, entry.elapsed_ms, entry.held_ms);
            (tick.warmup, tick.stable_planned) = (entry.warmup, entry.stable_planned);
            (tick.routers, tick.resets, tick.troubles) = (entry.routers, entry.resets, entry.troubles);
            if is_candidate {
                tick.candidate = entry.signals;
            } else {
                (tick.stable, tick.stable_series) = (entry.signals, entry.series);
            }
        }
        tick
    }
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}
