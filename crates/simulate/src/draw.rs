//! Ticks drawn at random: counts of independent requests, in the cells that routers count into.

use judge::edges::{CELL_COUNT, LATENCY_EDGES_MS};
use judge::{Counts, Metric, Resolved, Signal, SignalName, Signals};
use libm::{erfc, exp, lgamma, log};
use rand::RngExt as _;
use rand_distr::{Binomial, Distribution as _};
use rand_pcg::Pcg64Mcg;

use crate::traffic::{Effect, Items, Traffic};

/// Values of an observation are drawn from so many cells over its range.
const VALUE_CELLS: u32 = 40;

/// How far a Poisson table goes to both sides of its mean, in standard deviations.
const DEVIATIONS: f64 = 8.0;

/// Cells with less than this are never drawn.
const SHARE_MIN: f64 = 1e-7;

/// One arm with so many requests a tick, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Arm {
    error_rate: f64,
    observed_share: f64,
    requests: Requests,
    observed: Vec<(SignalName, Kind)>,
}

/// The requests of a tick: how many, or how many in each cell of the latency histogram. A Poisson number of requests that fall into
/// cells is a Poisson number in each cell, independent of the others.
#[derive(Debug, Clone)]
enum Requests {
    Counted(Poisson),
    Timed {
        cells: Vec<(usize, Poisson)>,
        /// The histograms that are read: of whole answers, of first bytes, or both; one is as the other here.
        read: Vec<SignalName>,
    },
}

#[derive(Debug, Clone)]
enum Kind {
    /// Zeros and ones.
    Share(f64),
    /// Values with their shares.
    Values(Vec<(f64, f64)>),
}

impl Arm {
    /// What the checks of a policy read of an arm with these answers and so many requests a tick in the mean.
    #[must_use]
    pub fn new(resolved: &Resolved, traffic: &Traffic, effect: &Effect, requests: f64) -> Self {
        let answers = traffic.with(effect);
        let (mut read, mut observed) = (Vec::new(), Vec::<(SignalName, Kind)>::new());
        for check in &resolved.checks {
            let signal = check.kind.signal();
            if matches!(&check.kind, Metric::Quantile { .. }) && !read.contains(signal) {
                read.push(signal.clone());
            }
            let Some(name) = signal.observed() else { continue };
            if observed.iter().any(|(known, _)| known == signal) {
                continue;
            }
            let items = traffic.items(name, matches!(check.kind, Metric::Proportion { .. }));
            let factor = effect.observed.get(name).copied().unwrap_or(1.0);
            observed.push((signal.clone(), kind(items, factor)));
        }
        let requests = if read.is_empty() {
            Requests::Counted(Poisson::new(requests))
        } else {
            let cells = latency_cells(answers.latency_median_ms, answers.latency_sigma);
            let cells = cells.into_iter().map(|(cell, share)| (cell, Poisson::new(requests * share))).collect();
            Requests::Timed { cells, read }
        };
        Self { error_rate: answers.error_rate, observed_share: answers.observed_share, requests, observed }
    }

    /// The signals of a tick.
    #[must_use]
    pub fn draw(&self, chance: &mut Pcg64Mcg) -> Signals {
        let mut signals = Signals::new();
        let n = match &self.requests {
            Requests::Counted(number) => number.draw(chance),
            Requests::Timed { cells, read } => {
                let mut counts = Counts::new();
                cells.iter().for_each(|(cell, number)| counts.add_events(*cell, number.draw(chance)));
                let n = counts.total();
                if n > 0 {
                    let histogram = |name: &SignalName| (name.clone(), Signal::Histogram { counts: counts.clone() });
                    signals.extend(read.iter().map(histogram));
                }
                n
            }
        };
        if n == 0 {
            return signals;
        }
        let failed = binomial(n, self.error_rate, chance);
        signals.insert(SignalName::error(), Signal::Count { k: failed as f64, n: n as f64 });
        for (name, kind) in &self.observed {
            let items = binomial(n, self.observed_share, chance);
            if items > 0 {
                signals.insert(name.clone(), kind.draw(items, chance));
            }
        }
        signals
    }
}

impl Kind {
    fn draw(&self, items: u64, chance: &mut Pcg64Mcg) -> Signal {
        let n = items as f64;
        match self {
            Self::Share(share) => {
                let ones = binomial(items, *share, chance) as f64;
                Signal::Mean { n, s1: ones, s2: ones, cap: None }
            }
            Self::Values(cells) => {
                let (mut s1, mut s2) = (0.0, 0.0);
                spread(items, cells, chance, |value, events| {
                    s1 += value * events as f64;
                    s2 += value * value * events as f64;
                });
                Signal::Mean { n, s1, s2, cap: None }
            }
        }
    }
}

/// Zeros and ones, or values in cells of a normal distribution cut at 0 and at four standard deviations, scores at 1; stretched so
/// that their mean is what was said, times the factor.
fn kind(items: Items, factor: f64) -> Kind {
    let Some(sd) = items.sd else { return Kind::Share((items.mean * factor).clamp(0.0, 1.0)) };
    let most = if items.is_score() { 1.0 } else { items.mean + 4.0 * sd };
    let width = most / f64::from(VALUE_CELLS);
    let below = |x: f64| 0.5 * erfc(-(x - items.mean) / (sd * std::f64::consts::SQRT_2));
    let cell = |at: u32| {
        let (low, high) = (f64::from(at) * width, f64::from(at + 1) * width);
        (low + width / 2.0, below(high) - below(low))
    };
    let cells: Vec<(f64, f64)> = (0..VALUE_CELLS).map(cell).filter(|(_, share)| *share > SHARE_MIN).collect();
    let (sum, whole) =
        cells.iter().fold((0.0, 0.0), |(sum, whole), (value, share)| (sum + value * share, whole + share));
    let stretch = if sum > 0.0 { items.mean * factor * whole / sum } else { 1.0 };
    let top = if items.is_score() { 1.0 } else { f64::INFINITY };
    Kind::Values(cells.into_iter().map(|(value, share)| ((value * stretch).min(top), share / whole)).collect())
}

/// The shares of a lognormal distribution in the cells that routers count into.
fn latency_cells(median_ms: f64, sigma: f64) -> Vec<(usize, f64)> {
    let below = |ms: f64| 0.5 * erfc(-(log(ms) - log(median_ms)) / (sigma * std::f64::consts::SQRT_2));
    let upper = |cell: usize| LATENCY_EDGES_MS.get(cell).map_or(1.0, |edge| below(*edge));
    let share = |cell: usize| upper(cell) - if cell == 0 { 0.0 } else { upper(cell - 1) };
    (0..CELL_COUNT).map(|cell| (cell, share(cell))).filter(|(_, share)| *share > SHARE_MIN).collect()
}

/// Puts `n` events into cells by their shares: each cell gets its part of what is left.
fn spread<T>(n: u64, cells: &[(T, f64)], chance: &mut Pcg64Mcg, mut put: impl FnMut(&T, u64)) {
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

fn binomial(n: u64, p: f64, chance: &mut Pcg64Mcg) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    Binomial::new(n, p.min(1.0)).map_or(0, |drawn| drawn.sample(chance))
}

/// A Poisson distribution as a table: the same mean is drawn from at each tick of a step.
#[derive(Debug, Clone)]
struct Poisson {
    first: u64,
    /// P(at most `first` + index).
    below: Vec<f64>,
}

impl Poisson {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests, not negative")]
    fn new(mean: f64) -> Self {
        let mean = mean.max(0.0);
        let reach = DEVIATIONS * mean.sqrt() + DEVIATIONS;
        let (first, last) = ((mean - reach).max(0.0).floor() as u64, (mean + reach).ceil() as u64);
        let ln_p = |n: u64| if mean > 0.0 { n as f64 * log(mean) - mean - lgamma(n as f64 + 1.0) } else { 0.0 };
        let mut sum = 0.0;
        let numbers = if mean > 0.0 { first..=last } else { 0..=0 };
        let below = numbers.map(|n| {
            sum += exp(ln_p(n));
            sum
        });
        Self { first, below: below.collect() }
    }

    fn draw(&self, chance: &mut Pcg64Mcg) -> u64 {
        let uniform: f64 = chance.random();
        let at = self.below.partition_point(|below| *below <= uniform).min(self.below.len().saturating_sub(1));
        self.first + at as u64
    }
}
