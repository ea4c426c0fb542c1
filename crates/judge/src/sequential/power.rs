//! How many samples of the candidate it takes to decide a gate (JUDGE section 13).
//!
//! The log e-value of a process drifts like a random walk; the number of samples is the time in which it reaches a barrier, within
//! 15 % of the simulated mean.

use libm::{log, sqrt};

use super::grid::{DOWN, Grid, UP, Z};
use super::log_e::{Bad, Scale, psi, stakes};

/// The 90 % point of the normal distribution.
const Z_90: f64 = 1.281_551_565_544_600_4;

/// What is to be decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// A breach, at the chance `alpha` times the gate's weight, of a candidate at the limit.
    Breach {
        /// The gate's share of alpha, times alpha.
        alpha: f64,
    },
    /// A proof of health, at the chance `beta`, of a candidate that equals stable.
    Accept {
        /// The chance.
        beta: f64,
    },
}

/// What is expected of one gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// A ratio of rates (T1).
    Ratio {
        /// Stable's rate, or its share above the edge.
        p: f64,
        /// The true ratio.
        effect: f64,
        /// The ratio of the null.
        rho: f64,
        /// The candidate's share of the traffic.
        share: f64,
    },
    /// A share against its limit (T2).
    Share {
        /// The true share.
        p: f64,
        /// The limit.
        p0: f64,
    },
    /// A rate against its limit (T5).
    Rate {
        /// The true rate.
        lambda: f64,
        /// The limit.
        lambda0: f64,
    },
    /// A mean against stable's (T3), or with `share` absent against a limit (T4: `rho` times `m` is the limit).
    Mean {
        /// Stable's centre, scale and bounds.
        m: f64,
        /// Standard deviation.
        sd: f64,
        /// Bounds of the items.
        bounds: (f64, f64),
        /// The true ratio to `m`.
        effect: f64,
        /// The ratio of the null.
        rho: f64,
        /// Which direction is bad.
        bad: Bad,
        /// The candidate's share of the traffic.
        share: Option<f64>,
    },
}

/// Samples of the candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Samples {
    /// The expected number; infinite if it never will be decided.
    pub expected: f64,
    /// The number that suffices in nine of ten rollouts.
    pub n90: f64,
}

/// Samples of the candidate needed to reach a goal; `phi` is the dispersion.
#[must_use]
pub fn samples(goal: Goal, expected: &Expected, phi: f64) -> Samples {
    let grid = grid(goal, expected);
    let (barrier, start) = match goal {
        Goal::Breach { alpha } => (-log(alpha), 0.5),
        Goal::Accept { beta } => (-log(beta), 1.0),
    };
    let mut least = Samples { expected: f64::INFINITY, n90: f64::INFINITY };
    let weights = grid.weights();
    for (at, point) in grid.at.iter().enumerate() {
        let (g, v) = drift(goal, expected, *point);
        // Clumped counts vary more by phi, and what they bring is divided by it.
        let (g, v) = (g / phi, v / phi);
        let near = weights[at.saturating_sub(1)..(at + 2).min(weights.len())].iter().sum::<f64>().min(1.0);
        let b = barrier - log(start * near);
        least.expected = least.expected.min(needed(0.0, g, v, b));
        least.n90 = least.n90.min(needed(Z_90, g, v, b));
    }
    least
}

fn needed(z: f64, g: f64, v: f64, b: f64) -> f64 {
    if g <= 0.0 {
        return f64::INFINITY;
    }
    let root = (z * sqrt(v) + sqrt(z * z * v + 4.0 * g * b)) / (2.0 * g);
    root * root
}

const fn grid(goal: Goal, expected: &Expected) -> &'static Grid {
    match (expected, goal) {
        (Expected::Mean { .. }, _) => &Z,
        (_, Goal::Breach { .. }) => &UP,
        (_, Goal::Accept { .. }) => &DOWN,
    }
}

/// Mean and variance of the log e-value that one sample of the candidate brings, before dispersion.
fn drift(goal: Goal, expected: &Expected, r: f64) -> (f64, f64) {
    match *expected {
        Expected::Ratio { p, effect, rho, share } => {
            let q = share / (1.0 - share);
            let c = log((rho * r * q + 1.0) / (rho * q + 1.0));
            let (a, d) = (effect * p, p / q);
            (a * log(r) - (a + d) * c, a * (log(r) - c) * (log(r) - c) + d * c * c)
        }
        Expected::Share { p, p0 } => {
            let odds = r * p0 / (1.0 - p0);
            let p1 = odds / (1.0 + odds);
            let (hit, miss) = (log(p1 / p0), log((1.0 - p1) / (1.0 - p0)));
            (p * hit + (1.0 - p) * miss, p * (1.0 - p) * (hit - miss) * (hit - miss))
        }
        Expected::Rate { lambda, lambda0 } => (lambda * log(r) - (r - 1.0) * lambda0, lambda * log(r) * log(r)),
        Expected::Mean { m, sd, bounds: (lo, hi), effect, rho, bad, share } => {
            let bad = if matches!(goal, Goal::Accept { .. }) { bad.other() } else { bad };
            let ratio = share.map_or(0.0, |share| share / (1.0 - share));
            let q = rho * ratio;
            let a = rho * m;
            let found = stakes(bad, Scale { m, sd, lo, hi }, a, q);
            let u = (r / (sd * (1.0 + rho * q))).min(0.8 / found.wc.max(found.ws));
            let v = q * u;
            let off = effect * m - a;
            let square = sd * sd + off * off;
            let (mut mean, mut variance) = (found.sign * u * off - psi(u * found.wc) * u * u * square, u * u * sd * sd);
            if ratio > 0.0 {
                mean -= psi(u * found.ws) * v * v * sd * sd / ratio;
                variance += v * v * sd * sd / ratio;
            }
            (mean, variance)
        }
    }
}
