//! What one scrape of a target adds to a signal: the increases of its series, put together by the part that each gives.

use super::Scraped;
use crate::query::Part;
use crate::signal::Signal;

/// How far a part may lie above its whole by rounding.
const ROUNDING: f64 = 1e-9;

/// Increases, added up part by part.
pub(super) enum Increase {
    Share {
        counted: f64,
        total: f64,
    },
    /// Cumulative counts up to each edge, the last one infinite.
    Buckets(Vec<(f64, f64)>),
    Mean {
        sum: f64,
        count: f64,
    },
    /// Events, and the seconds in which they came.
    Rate {
        events: f64,
        seconds: f64,
    },
}

impl Increase {
    /// Nothing yet, of the kind that the series of a scrape make; none if what the signal can't do without is missing. It tells of
    /// so many `seconds` of its target.
    pub(super) fn of<'a>(series: impl Iterator<Item = &'a Scraped> + Clone, seconds: f64) -> Option<Self> {
        let has = |part| series.clone().any(|series| series.part == part);
        if has(Part::Total) {
            return Some(Self::Share { counted: 0.0, total: 0.0 });
        }
        if has(Part::Sum) && has(Part::Count) {
            return Some(Self::Mean { sum: 0.0, count: 0.0 });
        }
        if has(Part::Events) {
            return Some(Self::Rate { events: 0.0, seconds });
        }
        let mut edges: Vec<f64> =
            series.filter(|series| series.part == Part::Buckets).map(|series| series.edge).collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        (edges.last() == Some(&f64::INFINITY))
            .then(|| Self::Buckets(edges.into_iter().map(|edge| (edge, 0.0)).collect()))
    }

    pub(super) fn add(&mut self, series: &Scraped, increase: f64) {
        match (self, series.part) {
            (Self::Share { counted, .. }, Part::Counted) => *counted += increase,
            (Self::Share { total, .. }, Part::Total) => *total += increase,
            (Self::Mean { sum, .. }, Part::Sum) => *sum += increase,
            (Self::Mean { count, .. }, Part::Count) => *count += increase,
            (Self::Rate { events, .. }, Part::Events) => *events += increase,
            (Self::Buckets(buckets), Part::Buckets) => {
                if let Some((_, count)) = buckets.iter_mut().find(|(edge, _)| *edge == series.edge) {
                    *count += increase;
                }
            }
            _ => {}
        }
    }

    /// The signal; none if its numbers contradict each other.
    pub(super) fn signal(self) -> Option<Signal> {
        match self {
            Self::Share { counted, total } => {
                (counted <= total * (1.0 + ROUNDING)).then_some(Signal::Count { k: counted, n: total })
            }
            // A store has no squares: they are needed by the sequential method alone.
            Self::Mean { sum, count } => {
                (count > 0.0 || sum == 0.0).then_some(Signal::Mean { n: count, s1: sum, s2: 0.0, cap: None })
            }
            Self::Rate { events, seconds } => Some(Signal::Count { k: events, n: seconds }),
            Self::Buckets(buckets) => {
                let edges: Vec<f64> = buckets.iter().map(|(edge, _)| *edge).filter(|edge| edge.is_finite()).collect();
                let below = std::iter::once(0.0).chain(buckets.iter().map(|(_, count)| *count));
                let counts: Vec<f64> = buckets.iter().zip(below).map(|((_, count), below)| count - below).collect();
                Some(Signal::Buckets { edges, counts }).filter(Signal::is_sound)
            }
        }
    }
}
