//! A quantile is judged by counting what lies above an edge of the histogram (JUDGE section 7.2): which edge, and how much more of the
//! stable arm would lie above it if everything took so much longer.

use libm::{exp, log};

use crate::quantile::quantile;

/// Shares are taken for at least this.
const SHARE_MIN: f64 = 1e-9;

/// How far beyond its cell the survival function is extended, in cells.
const BEYOND: (f64, f64) = (-1.0, 2.0);

/// An edge to count above, with the ratio of shares above it at which the quantile is so many times stable's.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Edge {
    /// Index of the edge.
    pub(crate) at: usize,
    /// What T1 takes for `rho`.
    pub(crate) kappa: f64,
}

/// The edge for the factor `x` on the `q`-quantile of stable's histogram; none if that is empty.
pub(crate) fn choose(edges: &[f64], counts: &[f64], q: f64, x: f64) -> Option<Edge> {
    let target = log(x * quantile(edges, counts, q)?.value);
    let distance = |at: usize| (log(edges[at]) - target).abs();
    let at = (0..edges.len()).reduce(|best, next| if distance(next) < distance(best) { next } else { best })?;
    let survival = Survival::of(edges, counts);
    let ratio = survival.beyond(edges[at] / x) / survival.beyond(edges[at]).max(SHARE_MIN);
    Some(Edge { at, kappa: ratio.max(1.0) })
}

/// The share of a histogram above any point.
struct Survival<'a> {
    edges: &'a [f64],
    tail: Vec<f64>,
}

impl<'a> Survival<'a> {
    fn of(edges: &'a [f64], counts: &[f64]) -> Self {
        let total: f64 = counts.iter().sum();
        let mut above = 0.0;
        let mut tail: Vec<f64> = counts
            .iter()
            .skip(1)
            .rev()
            .map(|count| {
                above += count;
                above / total
            })
            .collect();
        tail.reverse();
        Self { edges, tail }
    }

    /// Interpolated between the two edges around the point, both axes logarithmic.
    fn beyond(&self, point: f64) -> f64 {
        let below = self.edges.partition_point(|edge| *edge < point);
        let j = below.saturating_sub(1).min(self.edges.len().saturating_sub(2));
        let share = |at: usize| log(self.tail.get(at).copied().unwrap_or(0.0).max(SHARE_MIN));
        let (Some(left), Some(right)) = (self.edges.get(j), self.edges.get(j + 1)) else { return exp(share(0)) };
        let fraction = (log(point) - log(*left)) / (log(*right) - log(*left));
        exp(share(j) + fraction.clamp(BEYOND.0, BEYOND.1) * (share(j + 1) - share(j)))
    }
}
