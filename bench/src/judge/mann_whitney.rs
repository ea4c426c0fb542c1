//! The Mann-Whitney U test as Kayenta's `MannWhitney` and `MannWhitneyClassifier` use it: is one sample shifted above another?
//!
//! There the ends of a confidence interval of the shift are searched for and then compared with a tolerance. The statistic falls as the
//! shift grows, so an end lies above the tolerance exactly if the statistic is beyond its quantile there, and no search is needed.

/// The 99 % point of the normal distribution: an interval of 98 % has it on both sides.
const Z_98: f64 = 2.326_347_874_040_841;

/// The interval must lie beyond this share of the estimated shift.
const TOLERANCE: f64 = 0.25;

/// Whether `x` is higher than `y`, with 98 % confidence.
pub(super) fn is_higher(x: &[f64], y: &[f64]) -> bool {
    // An interval that is wholly above a bound of at least 0 is above 0.
    deviation(x, y, 0.0) > Z_98 && deviation(x, y, TOLERANCE * shift(x, y).abs()) > Z_98
}

/// The Hodges-Lehmann estimate of the shift: the median of all differences.
fn shift(x: &[f64], y: &[f64]) -> f64 {
    let mut differences: Vec<f64> = x.iter().flat_map(|x| y.iter().map(move |y| x - y)).collect();
    let middle = differences.len() / 2;
    *differences.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// How far the rank sum of `x`, less a shift, is above what it would be without a difference, in standard deviations: with corrections
/// for ties and continuity.
fn deviation(x: &[f64], y: &[f64], shift: f64) -> f64 {
    let mut all: Vec<(f64, bool)> = x.iter().map(|x| (x - shift, true)).chain(y.iter().map(|y| (*y, false))).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut below) = (0.0, 0.0, 0.0);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let count = tied.len() as f64;
        ranks += tied.iter().filter(|(_, is_x)| *is_x).count() as f64 * (below + (count + 1.0) / 2.0);
        ties += count.powi(3) - count;
        below += count;
    }
    let (m, n) = (x.len() as f64, y.len() as f64);
    let above = ranks - m * (m + 1.0) / 2.0 - m * n / 2.0;
    let variance = m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)));
    if variance <= 0.0 || above == 0.0 { 0.0 } else { (above - 0.5 * above.signum()) / variance.sqrt() }
}
