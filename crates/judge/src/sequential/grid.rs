//! The effect sizes that a process bets on, with their shares of its capital (JUDGE section 5). They are frozen: other numbers are
//! another engine.

use std::sync::OnceLock;

use libm::log;

/// Most points of a grid.
pub(crate) const POINTS_MAX: usize = 10;

/// One number for each point of a grid; those beyond the grid are 0.
pub(crate) type Points = [f64; POINTS_MAX];

/// A grid of effect sizes.
#[derive(Debug)]
pub(crate) struct Grid {
    /// Multipliers of a rate, or bets in standard deviations.
    pub(crate) at: &'static [f64],
    /// Their shares, which sum to 1.
    weights: Points,
    /// Logarithms of the multipliers, once somebody has asked for them.
    logs: OnceLock<Points>,
}

/// Multipliers above 1: worse than the null.
pub(crate) static UP: Grid =
    Grid::new(&[1.1, 1.2, 1.35, 1.6, 2.0, 2.7, 4.0, 8.0, 20.0], &[10, 15, 20, 20, 20, 15, 10, 7, 3]);

/// Multipliers below 1: better than the null.
pub(crate) static DOWN: Grid = Grid::new(&[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.25], &[2, 3, 4, 4, 4, 2, 1]);

/// Bets on a mean, in standard deviations, in both directions.
pub(crate) static Z: Grid = Grid::new(&[0.02, 0.04, 0.08, 0.15, 0.25, 0.4, 0.7], &[2, 3, 4, 4, 3, 2, 1]);

/// Multipliers of an arm's share of the traffic.
pub(crate) static SPLIT: Grid = Grid::new(&[0.3, 0.5, 0.7, 0.85, 0.95, 1.05, 1.15, 1.3, 1.6, 2.5], &[1; POINTS_MAX]);

impl Grid {
    const fn new(at: &'static [f64], parts: &[u32]) -> Self {
        assert!(at.len() == parts.len() && at.len() <= POINTS_MAX, "each point has its share");
        let (mut sum, mut i) = (0, 0);
        while i < parts.len() {
            sum += parts[i];
            i += 1;
        }
        let mut weights = [0.0; POINTS_MAX];
        i = 0;
        while i < parts.len() {
            weights[i] = parts[i] as f64 / sum as f64;
            i += 1;
        }
        Self { at, weights, logs: OnceLock::new() }
    }

    /// The shares of the points.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights[..self.at.len()]
    }

    /// A number for each point, from its multiplier and the logarithm of that.
    pub(crate) fn map_logs(&self, f: impl Fn(f64, f64) -> f64) -> Points {
        let logs = self.logs.get_or_init(|| self.map(log));
        let mut points = [0.0; POINTS_MAX];
        for ((point, at), ln) in points.iter_mut().zip(self.at).zip(logs) {
            *point = f(*at, *ln);
        }
        points
    }

    /// A number for each point.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Points {
        let mut points = [0.0; POINTS_MAX];
        for (point, at) in points.iter_mut().zip(self.at) {
            *point = f(*at);
        }
        points
    }
}
