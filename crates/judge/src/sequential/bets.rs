//! What each process of a gate bets on, and what a tick pays for it.

use super::grid::{DOWN, Points, UP};
use super::learned::Learned;
use super::log_e::{Scale, mean, mean_ratio, rate, ratio, share};
use super::numbers::Numbers;
use super::plan::{Gate, Test};
use super::quantile_edge::Edge;
use crate::tick::Arm;

/// What a bet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Rollback: worse than the tolerance, or than the absolute limit.
    Bet,
    /// Phase B: worse than the limit.
    Limit,
    /// Acceptance and veto: better than the limit.
    Proof,
    /// An absolute limit: worse than stable.
    Attribution,
}

/// What a bet may know: nothing of the tick itself.
pub(crate) struct Past<'a> {
    pub(crate) learned: &'a Learned,
    /// Of a mean; none while too little is known, or no bound.
    pub(crate) scale: Option<Scale>,
    pub(crate) phi: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
}

/// The log e-value of a tick at each point of the side's grid; 0 where the gate is neutral.
pub(crate) fn log_e(
    gate: &Gate,
    side: Side,
    numbers: &Numbers<'_>,
    past: &Past<'_>,
    edges: Option<[Edge; 2]>,
) -> Points {
    let grid = if side == Side::Proof { &DOWN } else { &UP };
    let rho = factor(gate, side);
    let events = |arm, edge| numbers.events(arm, edge);
    let ratio_above = |edge, rho| ratio(grid, events(Arm::Candidate, edge), events(Arm::Stable, edge), rho);
    match gate.test {
        Test::Ratio => ratio_above(None, rho),
        Test::QuantileRatio { .. } => {
            let Some([tolerance, limit]) = edges else { return Points::default() };
            let edge = if side == Side::Bet { tolerance } else { limit };
            ratio_above(Some(edge.at), edge.kappa)
        }
        Test::MeanRatio(items) => {
            let Some(scale) = past.scale else { return Points::default() };
            let bad = if side == Side::Proof { items.bad.other() } else { items.bad };
            mean_ratio(numbers.sums(Arm::Candidate), numbers.sums(Arm::Stable), rho, bad, scale)
        }
        Test::Share if side == Side::Attribution => ratio_above(None, 1.0),
        Test::Share => share(grid, events(Arm::Candidate, None), gate.limit),
        Test::Rate if side == Side::Attribution => ratio_above(None, 1.0),
        Test::Rate => rate(grid, events(Arm::Candidate, None), gate.limit),
        Test::Quantile { q } => {
            let Some(edge) = limit_edge(gate, side, numbers, past) else { return Points::default() };
            if side == Side::Attribution {
                return ratio_above(Some(edge), 1.0);
            }
            share(grid, events(Arm::Candidate, Some(edge)), 1.0 - q)
        }
        Test::Mean(items) => {
            let Some(scale) = past.scale else { return Points::default() };
            let candidate = numbers.sums(Arm::Candidate);
            match side {
                Side::Attribution => mean_ratio(candidate, numbers.sums(Arm::Stable), 1.0, items.bad, scale),
                Side::Proof => mean(candidate, gate.limit, items.bad.other(), scale),
                Side::Bet | Side::Limit => mean(candidate, gate.limit, items.bad, scale),
            }
        }
    }
}

fn factor(gate: &Gate, side: Side) -> f64 {
    match side {
        Side::Bet => gate.tolerance.unwrap_or(gate.limit),
        Side::Limit | Side::Proof => gate.limit,
        Side::Attribution => 1.0,
    }
}

/// The edge that stands for an absolute limit: the lowest one at or above it, and for a proof the highest one at or below it.
pub(crate) fn limit_edge(gate: &Gate, side: Side, numbers: &Numbers<'_>, past: &Past<'_>) -> Option<usize> {
    let edges = past.learned.histogram().map(|(edges, _)| edges).or_else(|| numbers.edges())?;
    edge_of(edges, gate.limit, side)
}

/// The same, among these edges.
pub(crate) fn edge_of(edges: &[f64], limit: f64, side: Side) -> Option<usize> {
    let at_or_above = edges.partition_point(|edge| *edge < limit);
    match side {
        Side::Proof if edges.get(at_or_above).is_none_or(|edge| *edge > limit) => at_or_above.checked_sub(1),
        _ => (at_or_above < edges.len()).then_some(at_or_above),
    }
}
