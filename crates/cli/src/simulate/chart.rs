//! A histogram in text: one bar for each stretch of time.

use crate::words::lasting;

/// Bars of a chart, and the length of the longest one.
const BARS: usize = 8;
const LENGTH: f64 = 40.0;

/// Round lengths of a bar, in seconds.
const WIDTHS: [f64; 14] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 604_800.0];

/// The chart of ascending seconds; none without any.
pub(super) fn of(ascending: &[f64]) -> Option<String> {
    let (first, last) = (ascending.first()?, ascending.last()?);
    let fits = |width: &&f64| (last / **width).floor() - (first / **width).floor() < BARS as f64;
    let width = WIDTHS.iter().find(fits).unwrap_or(&WIDTHS[WIDTHS.len() - 1]);
    let begin = (first / width).floor() * width;
    let mut bars = Vec::new();
    let mut from = begin;
    while from <= *last {
        bars.push((from, ascending.iter().filter(|seconds| **seconds >= from && **seconds < from + width).count()));
        from += width;
    }
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 40")]
    let bar = |count: usize| "█".repeat((LENGTH * count as f64 / most as f64).ceil() as usize);
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a rollout")]
    let label = |seconds: f64| lasting((seconds * 1000.0) as i64);
    let lines = bars.iter().map(|(from, count)| format!("{:>9}  {} {count}", label(*from), bar(*count)));
    Some(lines.collect::<Vec<_>>().join("\n"))
}
