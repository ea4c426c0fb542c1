//! Continuous distributions as cells with shares.

use judge::edges::{CELL_COUNT, LATENCY_EDGES_MS};
use libm::{erfc, exp, log, sqrt};

use crate::traffic::Items;

/// Values of an observation are drawn from so many cells over its range.
const VALUE_CELLS: u32 = 40;

/// Cells with less than this are never drawn.
const SHARE_MIN: f64 = 1e-7;

/// How far values go to both sides of their mean, in standard deviations.
const DEVIATIONS: f64 = 8.0;

/// The largest value that is not a score, in means: dearer ones are cut.
const MEANS_MAX: f64 = 8.0;

/// Values with their shares: a beta distribution for scores, a lognormal one cut at eight means for all others, each stretched so that
/// its mean is what was said, times the factor.
pub(crate) fn value_cells(items: Items, sd: f64, factor: f64) -> Vec<(f64, f64)> {
    let most = if items.is_score() { 1.0 } else { f64::INFINITY };
    let mean = (items.mean * factor).min(most);
    if mean <= 0.0 || sd <= 0.0 {
        return vec![(mean, 1.0)];
    }
    // Scores keep their spread when they fall; what has no upper bound spreads as it grows.
    let sd = if items.is_score() { sd } else { sd * factor };
    let (low, high) = ((mean - DEVIATIONS * sd).max(0.0), (mean + DEVIATIONS * sd).min(MEANS_MAX * mean).min(most));
    let width = (high - low) / f64::from(VALUE_CELLS);
    let middle = |at: u32| low + (f64::from(at) + 0.5) * width;
    let ln_density = if items.is_score() { ln_beta } else { ln_lognormal };
    let cells: Vec<(f64, f64)> =
        (0..VALUE_CELLS).map(middle).map(|value| (value, ln_density(value, mean, sd))).collect();
    let peak = cells.iter().map(|(_, ln)| *ln).fold(f64::NEG_INFINITY, f64::max);
    let cells = cells.into_iter().map(|(value, ln)| (value, exp(ln - peak)));
    let cells: Vec<(f64, f64)> = cells.filter(|(_, weight)| *weight > SHARE_MIN).collect();
    let (sum, whole) =
        cells.iter().fold((0.0, 0.0), |(sum, whole), (value, weight)| (sum + value * weight, whole + weight));
    let stretch = mean * whole / sum;
    cells.into_iter().map(|(value, weight)| ((value * stretch).min(most), weight / whole)).collect()
}

/// The logarithm of the density of a lognormal distribution, but for a constant.
fn ln_lognormal(x: f64, mean: f64, sd: f64) -> f64 {
    let variance = log(1.0 + (sd / mean) * (sd / mean));
    let z = log(x / mean) + variance / 2.0;
    -z * z / (2.0 * variance) - log(x)
}

/// The logarithm of the density of a beta distribution, but for a constant; the spread is at most what 0 to 1 leaves room for.
fn ln_beta(x: f64, mean: f64, sd: f64) -> f64 {
    /// Of the two parameters together: below it nearly all values are 0 or 1.
    const LEAST: f64 = 0.1;
    let both = (mean * (1.0 - mean) / (sd * sd) - 1.0).max(LEAST);
    (mean * both - 1.0) * log(x) + ((1.0 - mean) * both - 1.0) * log(1.0 - x)
}

/// The shares of a lognormal distribution in the cells that routers count into.
pub(crate) fn latency_cells(median_ms: f64, sigma: f64) -> Vec<(usize, f64)> {
    let below = |ms: f64| 0.5 * erfc(-(log(ms) - log(median_ms)) / (sigma * sqrt(2.0)));
    let mut lower = 0.0;
    let mut cells = Vec::new();
    for cell in 0..CELL_COUNT {
        let upper = LATENCY_EDGES_MS.get(cell).map_or(1.0, |edge| below(*edge));
        if upper - lower > SHARE_MIN {
            cells.push((cell, upper - lower));
        }
        lower = upper;
    }
    cells
}
