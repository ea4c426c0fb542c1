//! The distributions that counts are drawn from.

use libm::{exp, lgamma, log};
use rand::RngExt as _;
use rand_distr::{Binomial, Distribution as _};
use rand_pcg::Pcg64Mcg;

/// How far a Poisson table goes to both sides of its mean, in standard deviations.
const DEVIATIONS: f64 = 8.0;

/// A Poisson distribution as a table: the same mean is drawn from at each tick of a step.
#[derive(Debug, Clone)]
pub(crate) struct Poisson {
    first: u64,
    /// P(at most `first` + index).
    below: Vec<f64>,
}

impl Poisson {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests, not negative")]
    pub(crate) fn new(mean: f64) -> Self {
        if mean <= 0.0 {
            return Self { first: 0, below: vec![1.0] };
        }
        let reach = DEVIATIONS * mean.sqrt() + DEVIATIONS;
        let (first, last) = ((mean - reach).max(0.0).floor() as u64, (mean + reach).ceil() as u64);
        let mut p = exp(first as f64 * log(mean) - mean - lgamma(first as f64 + 1.0));
        let mut sum = 0.0;
        let below = (first..=last).map(|n| {
            sum += p;
            p *= mean / (n + 1) as f64;
            sum
        });
        Self { first, below: below.collect() }
    }

    pub(crate) fn draw(&self, chance: &mut Pcg64Mcg) -> u64 {
        let uniform: f64 = chance.random();
        let at = self.below.partition_point(|below| *below <= uniform).min(self.below.len().saturating_sub(1));
        self.first + at as u64
    }
}

/// Puts `n` events into cells by their shares: each cell gets its part of what is left.
pub(crate) fn spread<T>(n: u64, cells: &[(T, f64)], chance: &mut Pcg64Mcg, mut put: impl FnMut(&T, u64)) {
    let (mut left, mut rest) = (n, cells.iter().map(|(_, share)| share).sum::<f64>());
    for (at, (value, share)) in cells.iter().enumerate() {
        if left == 0 {
            return;
        }
        let is_last = at + 1 == cells.len();
        let events = if is_last { left } else { binomial(left, (share / rest).clamp(0.0, 1.0), chance) };
        if events > 0 {
            put(value, events);
        }
        left -= events;
        rest -= share;
    }
}

pub(crate) fn binomial(n: u64, p: f64, chance: &mut Pcg64Mcg) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    Binomial::new(n, p.min(1.0)).map_or(0, |drawn| drawn.sample(chance))
}
