//! Intervals for people: they never decide (JUDGE section 12).

use libm::{exp, sqrt};
use serde::{Deserialize, Serialize};

use super::log_e::Events;

/// The 97.5 % point of the normal distribution.
const Z_975: f64 = 1.959_963_984_540_054;

/// A ratio with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// The ratio.
    pub ratio: f64,
    /// Its lower bound.
    pub lower: f64,
    /// Its upper bound.
    pub upper: f64,
}

/// The ratio of the candidate's share of bad events to stable's, by the delta method on its logarithm; none if an arm is empty.
pub(crate) fn ratio(c: Events, s: Events, phi: f64) -> Option<Interval> {
    if c.n <= 0.0 || s.n <= 0.0 {
        return None;
    }
    let more = if c.k <= 0.0 || s.k <= 0.0 { 0.5 } else { 0.0 };
    let (kc, nc, ks, ns) = (c.k + more, c.n + more, s.k + more, s.n + more);
    let ratio = (kc / nc) / (ks / ns);
    let spread = exp(Z_975 * sqrt((phi * (1.0 / kc - 1.0 / nc + 1.0 / ks - 1.0 / ns)).max(0.0)));
    let upper = ratio * spread;
    upper.is_finite().then(|| Interval { ratio, lower: ratio / spread, upper })
}
