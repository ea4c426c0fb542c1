//! A quantile read from a histogram (JUDGE section 7.2).

use serde::{Deserialize, Serialize};

use crate::edges::LATENCY_EDGES_MS;
use crate::signal::Signal;

/// A quantile with the cell that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The value, interpolated inside its cell; the last finite edge if it lies above all of them.
    pub value: f64,
    /// Lower edge of the cell.
    pub lower: f64,
    /// Upper edge of the cell; infinite for the last one.
    pub upper: f64,
    /// Largest relative distance to the true value; infinite in the last cell.
    pub error: f64,
}

/// The `q`-quantile of `counts`, which has one cell more than `edges`; none if there is nothing in it or it makes no sense.
#[must_use]
pub fn quantile(edges: &[f64], counts: &[f64], q: f64) -> Option<Quantile> {
    let total: f64 = counts.iter().sum();
    if counts.len() != edges.len() + 1 || !(total.is_finite() && total > 0.0) || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let last = *edges.last()?;
    let rank = q * total;
    let mut below = 0.0;
    let mut lower = 0.0;
    for (&upper, &count) in edges.iter().zip(counts) {
        if count > 0.0 && below + count >= rank {
            return Some(inside(lower, upper, (rank - below) / count));
        }
        below += count;
        lower = upper;
    }
    Some(Quantile { value: last, lower: last, upper: f64::INFINITY, error: f64::INFINITY })
}

/// How many events of a histogram may lie above a value: those above the highest edge that is not above it. 0 for other signals.
pub(crate) fn tail_above(signal: &Signal, value: f64) -> f64 {
    let above = |edges: &[f64], counts: &[f64]| counts.iter().skip(edges.partition_point(|edge| *edge <= value)).sum();
    match signal {
        Signal::Histogram { counts } => above(&LATENCY_EDGES_MS, &counts.dense()),
        Signal::Buckets { edges, counts } => above(edges, counts),
        _ => 0.0,
    }
}

fn inside(lower: f64, upper: f64, fraction: f64) -> Quantile {
    let value = lower + (upper - lower) * fraction;
    let error = if value > 0.0 { (value - lower).max(upper - value) / value } else { f64::INFINITY };
    Quantile { value, lower, upper, error }
}
