//! The five tests: the logarithm of one tick's e-value at each point of a grid (JUDGE section 5).
//!
//! Each is at most 0 in the mean while its null holds, whatever the parameters that are taken from the past: good ones make it
//! powerful, bad ones only weak.

use libm::{exp, log, log1p};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grid::{Grid, Points, Z};

/// The largest relative loss of one item that a bet on a mean risks.
const LOSS_MAX: f64 = 0.8;

/// Differences and bounds smaller than this are this.
const TINY: f64 = 1e-12;

/// Events of an arm: bad ones of all, or a count and its exposure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Events {
    /// Bad events.
    pub(crate) k: f64,
    /// All events, or the exposure.
    pub(crate) n: f64,
}

/// Sums over an arm's items.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Items.
    pub(crate) n: f64,
    /// Their sum.
    pub(crate) s1: f64,
    /// The sum of their squares.
    pub(crate) s2: f64,
}

/// Which direction of a mean is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bad {
    /// More is worse.
    #[default]
    Increase,
    /// Less is worse.
    Decrease,
}

/// What is known of a mean's items before the tick: the bounds, which must hold, and the stable arm's centre and scale, which need not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) m: f64,
    pub(crate) sd: f64,
    pub(crate) lo: f64,
    pub(crate) hi: f64,
}

impl Bad {
    /// The other direction.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Increase => Self::Decrease,
            Self::Decrease => Self::Increase,
        }
    }
}

impl Sums {
    /// The sum of `(x - a)^2`.
    fn squares_around(self, a: f64) -> f64 {
        self.s2 - 2.0 * a * self.s1 + self.n * a * a
    }
}

/// T1: the candidate's rate is at most `rho` times stable's (at least, with multipliers below 1). Exact for any fixed split of the
/// exposure (Turner, Ly, Gruenwald 2024; Lindon, Malek 2022).
pub(crate) fn ratio(grid: &Grid, c: Events, s: Events, rho: f64) -> Points {
    if c.n <= 0.0 || s.n <= 0.0 {
        return Points::default();
    }
    grid.map_logs(|r, ln_r| c.k * ln_r - (c.k + s.k) * log((rho * r * c.n + s.n) / (rho * c.n + s.n)))
}

/// T2: a share is at most `p0` (at least, with multipliers below 1). Multipliers act on the odds: with `p1 = r p0 / (1 - p0 + r p0)`
/// this is `k ln(p1/p0) + (n - k) ln((1 - p1)/(1 - p0))`, with one logarithm less.
pub(crate) fn share(grid: &Grid, c: Events, p0: f64) -> Points {
    grid.map_logs(|r, ln_r| c.k * ln_r - c.n * log1p((r - 1.0) * p0))
}

/// T5: a rate is at most `lambda0` (at least, with multipliers below 1), events being Poisson.
pub(crate) fn rate(grid: &Grid, c: Events, lambda0: f64) -> Points {
    grid.map_logs(|r, ln_r| c.k * ln_r - (r - 1.0) * lambda0 * c.n)
}

/// T3: the candidate's mean is at most `rho` times stable's (at least, where a decrease is bad); items within the bounds
/// (Fan, Grama, Liu 2015; Waudby-Smith, Ramdas 2024).
pub(crate) fn mean_ratio(c: Sums, s: Sums, rho: f64, bad: Bad, known: Scale) -> Points {
    if c.n <= 0.0 || s.n <= 0.0 {
        return Points::default();
    }
    let Scale { m, sd, .. } = known;
    let q = rho * c.n / s.n;
    let a = rho * m;
    let Stakes { sign, wc, ws } = stakes(bad, known, a, q);
    Z.map(|z| {
        let u = (z / (sd * (1.0 + rho * q))).min(LOSS_MAX / wc.max(ws));
        let v = q * u;
        sign * u * (c.s1 - c.n * a)
            - psi(u * wc) * u * u * c.squares_around(a)
            - sign * v * (s.s1 - s.n * m)
            - psi(u * ws) * v * v * s.squares_around(m)
    })
}

/// T4: a mean is at most `mu0` (at least, where a decrease is bad).
pub(crate) fn mean(c: Sums, mu0: f64, bad: Bad, known: Scale) -> Points {
    if c.n <= 0.0 {
        return Points::default();
    }
    let Stakes { sign, wc, .. } = stakes(bad, known, mu0, 0.0);
    Z.map(|z| {
        let u = (z / known.sd).min(LOSS_MAX / wc);
        sign * u * (c.s1 - c.n * mu0) - psi(u * wc) * u * u * c.squares_around(mu0)
    })
}

/// The direction of a bet on a mean, and the largest loss of one item of each arm at a bet of 1.
pub(crate) struct Stakes {
    pub(crate) sign: f64,
    pub(crate) wc: f64,
    pub(crate) ws: f64,
}

/// The stakes of a bet on the candidate's items around `a` against `q` times stable's around their centre.
pub(crate) fn stakes(bad: Bad, known: Scale, a: f64, q: f64) -> Stakes {
    let Scale { m, lo, hi, .. } = known;
    match bad {
        Bad::Increase => Stakes { sign: 1.0, wc: (a - lo).max(TINY), ws: ((hi - m) * q).max(TINY) },
        Bad::Decrease => Stakes { sign: -1.0, wc: (hi - a).max(TINY), ws: ((m - lo) * q).max(TINY) },
    }
}

/// `1 + y >= exp(y - psi(c) y^2)` for `y >= -c` (Fan, Grama, Liu 2015).
pub(crate) fn psi(c: f64) -> f64 {
    let c = c.max(1e-4);
    (-log1p(-c) - c) / (c * c)
}

/// Upper bound of a sum of squares of items within bounds, where only their number and sum are known.
pub(crate) fn square_bound(n: f64, s1: f64, lo: f64, hi: f64) -> f64 {
    (lo + hi) * s1 - n * lo * hi
}

/// The exponential of a log e-value, kept within what a float can hold; what is no number is no evidence.
pub(crate) fn exp_clamped(log_e: f64) -> f64 {
    if log_e.is_nan() { 1.0 } else { exp(log_e.clamp(-700.0, 700.0)) }
}
