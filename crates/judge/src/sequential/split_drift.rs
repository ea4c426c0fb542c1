//! Do users get the share of the candidate that was asked for (JUDGE section 10, R66)?

use libm::log;
use serde::{Deserialize, Serialize};

use super::capital::Capital;
use super::grid::SPLIT;
use super::log_e::{Events, share};

/// Evidence for an alarm: P(false alarm in the rollout) <= 0.1 % for each candidate.
const ALARM: f64 = 1000.0;

/// The process of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitDrift {
    bet: Capital,
    alarmed: bool,
}

impl Default for SplitDrift {
    fn default() -> Self {
        Self { bet: Capital::patient(&SPLIT, 1.0), alarmed: false }
    }
}

impl SplitDrift {
    /// One tick, number `t`: of `all` new sessions the candidate got so many, and was asked to get `asked` of 1. `phi` is 1 for
    /// sessions and more for requests.
    pub fn learn(&mut self, (got, all): (f64, f64), asked: f64, phi: f64, t: u64) {
        if asked > 0.0 && asked < 1.0 {
            self.bet.update(
                &SPLIT,
                &share(&SPLIT, Events { k: got.clamp(0.0, all.max(0.0)), n: all.max(0.0) }, asked),
                phi,
                t,
            );
        }
    }

    /// Whether the evidence is enough, with so many candidates. Once is for good.
    pub fn is_alarm(&mut self, candidates: u32) -> bool {
        self.alarmed |= self.bet.value() >= ALARM * f64::from(candidates.max(1));
        self.alarmed
    }

    /// The logarithm of the evidence.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        log(self.bet.value())
    }
}
