//! A betting process: capital spread over effect sizes, part of it kept back for a change that comes later (JUDGE section 6.1).

use serde::{Deserialize, Serialize};

use super::grid::{Grid, Points};
use super::log_e::exp_clamped;

/// The share of the capital that is bet at once; the rest waits, so that a late regression is caught too.
pub(crate) const START: f64 = 0.5;

/// In each of the first ticks, one part in so many of what waits is bet.
const HORIZON: f64 = 1000.0;

/// The share of what waits that is bet when a step begins.
const AT_STEP: f64 = 0.25;

/// Capital at a point stops here, far from infinity.
const CAPITAL_MAX: f64 = 1e250;

/// Capital at each effect size, and what waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Capital {
    w: Vec<f64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    cash: f64,
}

impl Capital {
    /// A process that keeps half of its capital for later.
    pub(crate) fn patient(grid: &Grid, capital: f64) -> Self {
        Self::new(grid, capital, START)
    }

    /// A process that bets all of it at once.
    pub(crate) fn eager(grid: &Grid) -> Self {
        Self::new(grid, 1.0, 1.0)
    }

    pub(crate) fn new(grid: &Grid, capital: f64, share: f64) -> Self {
        Self { w: grid.weights().iter().map(|w| capital * share * w).collect(), cash: capital * (1.0 - share) }
    }

    /// Starts anew with the same grid, in place.
    pub(crate) fn restart(&mut self, grid: &Grid, capital: f64) {
        self.refill(grid, capital, START);
    }

    /// Starts anew with all capital at work, in place.
    pub(crate) fn restart_eager(&mut self, grid: &Grid) {
        self.refill(grid, 1.0, 1.0);
    }

    fn refill(&mut self, grid: &Grid, capital: f64, share: f64) {
        for (w, weight) in self.w.iter_mut().zip(grid.weights()) {
            *w = capital * share * weight;
        }
        self.cash = capital * (1.0 - share);
    }

    /// One tick, number `t` of the rollout: part of what waits is bet, then every bet is paid.
    pub(crate) fn update(&mut self, grid: &Grid, log_e: &Points, phi: f64, t: u64) {
        let bet = self.cash / HORIZON.max(t as f64);
        self.cash -= bet;
        for ((w, weight), log_e) in self.w.iter_mut().zip(grid.weights()).zip(log_e) {
            *w = ((*w + bet * weight) * exp_clamped(log_e / phi)).min(CAPITAL_MAX);
        }
    }

    /// A step begins: a quarter of what waits is bet.
    pub(crate) fn enter_step(&mut self, grid: &Grid) {
        let bet = AT_STEP * self.cash;
        self.cash -= bet;
        for (w, weight) in self.w.iter_mut().zip(grid.weights()) {
            *w += bet * weight;
        }
    }

    /// All capital: the e-value.
    pub(crate) fn value(&self) -> f64 {
        self.cash + self.w.iter().sum::<f64>()
    }

    /// Takes away what is above this.
    pub(crate) fn cap(&mut self, most: f64) {
        let value = self.value();
        if value > most {
            let part = most / value;
            self.cash *= part;
            self.w.iter_mut().for_each(|w| *w *= part);
        }
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (f64, &[f64]) {
        (self.cash, &self.w)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}
