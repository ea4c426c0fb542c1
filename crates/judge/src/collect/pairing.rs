//! Increments of both arms leave in the same tick, so that a ratio compares the same time (JUDGE section 3.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::SignalName;
use crate::signal::{SeriesSignals, Signal, Signals, add_signal};
use crate::tick::Arm;

/// How many ticks an arm waits for the other; then it leaves alone.
const WAIT_TICKS: u32 = 4;

/// Increments that wait, by signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Pairing {
    /// Written as its opposite so that the default is a step with a stable arm.
    is_stable_unplanned: bool,
    held: BTreeMap<SignalName, Held>,
    /// Which arms were heard of in this tick.
    heard: Heard,
    /// Counters that began anew in this tick, by signal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resets: BTreeMap<SignalName, u64>,
}

/// What leaves in a tick.
#[derive(Debug, Default)]
pub(super) struct Released {
    pub(super) candidate: Signals,
    pub(super) stable: Signals,
    pub(super) stable_series: SeriesSignals,
    pub(super) resets: BTreeMap<SignalName, u64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Held {
    candidate: Option<Signal>,
    stable: Option<Signal>,
    /// Those of the stable arm by target, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stable_series: BTreeMap<String, Signal>,
    heard: Heard,
    ticks: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Heard {
    candidate: bool,
    stable: bool,
}

impl Pairing {
    /// The same plan with nothing held.
    pub(super) fn fresh(&self) -> Self {
        Self { is_stable_unplanned: self.is_stable_unplanned, ..Self::default() }
    }

    pub(super) const fn plan_stable(&mut self, is_planned: bool) {
        self.is_stable_unplanned = !is_planned;
    }

    /// Some source gave a good reading of this arm in this tick, or was silent.
    pub(super) const fn hear(&mut self, arm: Arm) {
        match arm {
            Arm::Candidate => self.heard.candidate = true,
            Arm::Stable => self.heard.stable = true,
        }
    }

    /// Some target gave a good sample of this signal in this arm.
    pub(super) fn hear_of(&mut self, arm: Arm, name: &SignalName) {
        let heard = &mut self.held.entry(name.clone()).or_default().heard;
        match arm {
            Arm::Candidate => heard.candidate = true,
            Arm::Stable => heard.stable = true,
        }
    }

    /// So many of a signal's counters began anew. Values by size begin anew with their sums, which are told.
    pub(super) fn reset(&mut self, name: &SignalName, counters: u64) {
        if counters > 0 && !name.is_spread() {
            let resets = self.resets.entry(name.clone()).or_default();
            *resets = resets.saturating_add(counters);
        }
    }

    pub(super) fn add(&mut self, arm: Arm, name: &SignalName, increase: &Signal) {
        let held = self.held.entry(name.clone()).or_default();
        let side = match arm {
            Arm::Candidate => &mut held.candidate,
            Arm::Stable => &mut held.stable,
        };
        match side {
            Some(known) => {
                known.add(increase);
            }
            None => *side = Some(increase.clone()),
        }
    }

    /// The same, of one target among several that are replicas of each other.
    pub(super) fn add_of(&mut self, arm: Arm, name: &SignalName, target: &str, increase: &Signal) {
        self.add(arm, name, increase);
        if arm == Arm::Stable {
            let series = &mut self.held.entry(name.clone()).or_default().stable_series;
            match series.get_mut(target) {
                Some(known) => {
                    known.add(increase);
                }
                None => {
                    series.insert(target.to_owned(), increase.clone());
                }
            }
        }
    }

    /// Ends the tick: what leaves in it.
    pub(super) fn release(&mut self) -> Released {
        let heard = std::mem::take(&mut self.heard);
        let mut released = Released { resets: std::mem::take(&mut self.resets), ..Released::default() };
        let is_stable_unplanned = self.is_stable_unplanned;
        self.held.retain(|name, held| {
            held.heard.candidate |= heard.candidate;
            held.heard.stable |= heard.stable;
            let is_paired = held.heard.candidate && (held.heard.stable || is_stable_unplanned);
            if !is_paired && held.ticks < WAIT_TICKS {
                held.ticks += 1;
                return true;
            }
            if !held.stable_series.is_empty() {
                released.stable_series.insert(name.clone(), std::mem::take(&mut held.stable_series));
            }
            let sides = [(&held.candidate, &mut released.candidate), (&held.stable, &mut released.stable)];
            for (side, signals) in sides {
                if let Some(signal) = side {
                    add_signal(signals, name, signal);
                }
            }
            false
        });
        released
    }
}
