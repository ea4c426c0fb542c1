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
    /// What the candidate got, and all, in this step.
    #[serde(default)]
    seen: (f64, f64),
    /// Who sees sessions for the first time, each by itself; 0 stands for one.
    #[serde(default)]
    routers: u32,
}

impl Default for SplitDrift {
    fn default() -> Self {
        Self { bet: Capital::patient(&SPLIT, 1.0), alarmed: false, seen: (0.0, 0.0), routers: 0 }
    }
}

impl SplitDrift {
    /// Another step begins. An alarm ends with the step that it was raised in, and whoever goes on begins with nothing: capital is
    /// only ever discarded, so the bound on the first false alarm holds.
    pub fn enter_step(&mut self) {
        let fresh = if self.alarmed { Self { routers: self.routers, ..Self::default() } } else { std::mem::take(self) };
        *self = Self { seen: (0.0, 0.0), ..fresh };
    }

    /// So many routers count, restarts among them: a session is new to each of them once. The process of each is fair by itself, and
    /// with `phi` = their number this one is at most the geometric mean of theirs, so it is large only if one of theirs is: at most
    /// R times as likely. One more of them begins anew, without what was won, and the odds that are asked for grow with their fourth
    /// power, so that all these beginnings together raise a false alarm in 0.12 % of rollouts at most.
    pub fn hear(&mut self, routers: u32) {
        if routers > self.routers {
            self.bet.cap(1.0);
            self.routers = routers;
        }
    }

    /// One tick, number `t`: of `all` new sessions the candidate got so many, and was asked to get `asked` of 1. `phi` is 1 for
    /// sessions and more for requests.
    pub fn learn(&mut self, (got, all): (f64, f64), asked: f64, phi: f64, t: u64) {
        if asked > 0.0 && asked < 1.0 {
            let all = all.max(0.0);
            let got = got.clamp(0.0, all);
            self.seen = (self.seen.0 + got, self.seen.1 + all);
            self.bet.update(&SPLIT, &share(&SPLIT, Events { k: got, n: all }, asked), phi, t);
        }
    }

    /// Whether the evidence is enough, with so many candidates. It stays for the step.
    pub fn is_alarm(&mut self, candidates: u32) -> bool {
        let routers = f64::from(self.routers.max(1));
        self.alarmed |= self.bet.value() >= ALARM * f64::from(candidates.max(1)) * routers.powi(4);
        self.alarmed
    }

    /// Whether the alarm was raised in this step.
    #[must_use]
    pub const fn is_alarmed(&self) -> bool {
        self.alarmed
    }

    /// The candidate's share of the new sessions of this step; none without any.
    #[must_use]
    pub fn observed(&self) -> Option<f64> {
        (self.seen.1 > 0.0).then(|| self.seen.0 / self.seen.1)
    }

    /// The logarithm of the evidence.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        log(self.bet.value())
    }
}
