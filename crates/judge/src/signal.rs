//! The numbers of one signal in one tick and arm, and how they add up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::SignalName;

pub mod counts;
pub mod spread;

pub use counts::Counts;
pub use spread::Spread;

/// Sums stop here, far from infinity, so that a state always survives JSON.
const SUM_MAX: f64 = 1e300;

/// All signals of one arm in one tick.
pub type Signals = BTreeMap<SignalName, Signal>;

/// Signals of one arm by the series, such as a replica, that they come from.
pub type SeriesSignals = BTreeMap<SignalName, BTreeMap<String, Signal>>;

/// The numbers of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Bad events out of all events.
    Count {
        /// Bad events.
        k: f64,
        /// All events.
        n: f64,
    },
    /// Events by size, over [`crate::edges::LATENCY_EDGES_MS`].
    Histogram {
        /// Events in each cell.
        counts: Counts,
    },
    /// Events by size, over edges of the source's own.
    Buckets {
        /// Upper edges, ascending and above 0, at least two.
        edges: Vec<f64>,
        /// Events in each cell; the last one is above all edges.
        counts: Vec<f64>,
    },
    /// Sums over observed values.
    Mean {
        /// Number of values.
        n: f64,
        /// Their sum.
        s1: f64,
        /// The sum of their squares.
        s2: f64,
        /// The bound at which each value was cut before summing, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<f64>,
    },
    /// Sums over observed values by how large they are, from which they can be cut.
    Spread {
        /// The values.
        values: Spread,
    },
    /// One number as it stands; the later one replaces the earlier one.
    Gauge {
        /// The number.
        value: f64,
        /// What it is based on, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n: Option<f64>,
    },
}

impl Signal {
    /// Adds the other's numbers to this one. Another kind or another cap cannot be added: nothing changes and the answer is false.
    pub fn add(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Count { k, n }, Self::Count { k: more_k, n: more_n }) => {
                *k = sum(*k, *more_k);
                *n = sum(*n, *more_n);
            }
            (Self::Histogram { counts }, Self::Histogram { counts: more }) => counts.add(more),
            (Self::Mean { n, s1, s2, cap }, Self::Mean { n: more_n, s1: more_s1, s2: more_s2, cap: more_cap })
                if cap == more_cap =>
            {
                *n = sum(*n, *more_n);
                *s1 = sum(*s1, *more_s1);
                *s2 = sum(*s2, *more_s2);
            }
            (Self::Buckets { edges, counts }, Self::Buckets { edges: others, counts: more })
                if edges == others && counts.len() == more.len() =>
            {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count = sum(*count, *more));
            }
            (Self::Spread { values }, Self::Spread { values: more }) => values.add(more),
            (gauge @ Self::Gauge { .. }, Self::Gauge { .. }) => *gauge = other.clone(),
            _ => return false,
        }
        true
    }

    /// The same, whatever the caps: for sums that people read and nothing is decided by.
    pub(crate) fn add_cut(&mut self, other: &Self) {
        let mut other = other.clone();
        if let (Self::Mean { cap, .. }, Self::Mean { cap: theirs, .. }) = (&*self, &mut other) {
            *theirs = *cap;
        }
        self.add(&other);
    }

    /// Takes the other's place if that can't be added because its values were cut elsewhere: the newest count.
    pub(crate) fn add_or_follow(&mut self, other: &Self) {
        if !self.add(other) && matches!((&*self, other), (Self::Mean { .. }, Self::Mean { .. })) {
            *self = other.clone();
        }
    }

    /// The exposure: events, values, or none for a gauge that does not say.
    #[must_use]
    pub fn exposure(&self) -> Option<f64> {
        match self {
            Self::Count { n, .. } | Self::Mean { n, .. } => Some(*n),
            Self::Histogram { counts } => Some(counts.total() as f64),
            Self::Buckets { counts, .. } => Some(counts.iter().sum()),
            Self::Spread { values } => Some(values.total()),
            Self::Gauge { n, .. } => *n,
        }
    }

    /// Whether every number is one that sources may send: finite, and counts not negative.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let count = |x: f64| x.is_finite() && (0.0..=SUM_MAX).contains(&x);
        match self {
            Self::Count { k, n } => count(*k) && count(*n),
            Self::Histogram { .. } => true,
            Self::Buckets { edges, counts } => {
                edges.len() >= 2
                    && counts.len() == edges.len() + 1
                    && edges.iter().all(|edge| edge.is_finite() && *edge > 0.0)
                    && edges.windows(2).all(|pair| pair[0] < pair[1])
                    && counts.iter().all(|n| count(*n))
            }
            Self::Mean { n, s1, s2, cap } => {
                count(*n) && s1.abs() <= SUM_MAX && count(*s2) && cap.is_none_or(f64::is_finite)
            }
            Self::Spread { values } => values.is_sound(),
            Self::Gauge { value, n } => value.is_finite() && n.is_none_or(count),
        }
    }
}

/// Adds one signal to those of an arm; false if it could not be added.
pub fn add_signal(signals: &mut Signals, name: &SignalName, signal: &Signal) -> bool {
    if let Some(known) = signals.get_mut(name) {
        return known.add(signal);
    }
    signals.insert(name.clone(), signal.clone());
    true
}

fn sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if sum.is_nan() { sum } else { sum.clamp(-SUM_MAX, SUM_MAX) }
}

#[cfg(test)]
mod tests;
