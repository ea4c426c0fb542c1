//! Increments of both arms leave in the same tick, so that a ratio compares the same time (JUDGE section 3.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::SignalName;
use crate::signal::{Signal, Signals, add_signal};
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
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Held {
    candidate: Option<Signal>,
    stable: Option<Signal>,
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

    /// Ends the tick: what leaves in it, candidate and stable.
    pub(super) fn release(&mut self) -> (Signals, Signals) {
        let heard = std::mem::take(&mut self.heard);
        let (mut candidate, mut stable) = (Signals::new(), Signals::new());
        let is_stable_unplanned = self.is_stable_unplanned;
        self.held.retain(|name, held| {
            held.heard.candidate |= heard.candidate;
            held.heard.stable |= heard.stable;
            let is_paired = held.heard.candidate && (held.heard.stable || is_stable_unplanned);
            if !is_paired && held.ticks < WAIT_TICKS {
                held.ticks += 1;
                return true;
            }
            for (side, signals) in [(&held.candidate, &mut candidate), (&held.stable, &mut stable)] {
                if let Some(signal) = side {
                    add_signal(signals, name, signal);
                }
            }
            false
        });
        (candidate, stable)
    }
}
