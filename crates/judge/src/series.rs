//! Cumulative counters: which increase a sample carries (JUDGE section 3.2).

use serde::{Deserialize, Serialize};

/// One reading of a counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was read, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The counter's value; NaN, infinite and negative ones are rejected.
    pub value: f64,
}

/// Between which times samples count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// When the step's split was applied, in milliseconds since the epoch: earlier samples are no evidence.
    pub start_ms: i64,
    /// The longest gap between two samples whose increase is kept, in milliseconds.
    pub max_gap_ms: i64,
}

/// What happened to samples, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// Counters that fell: their process started anew.
    pub resets: u64,
    /// Increases that were dropped because the gap before them was too long.
    pub gap_dropped: u64,
    /// Samples that make no sense: NaN, infinite, negative, older than the last one, of another kind, or too many.
    pub rejected: u64,
    /// Increases that were dropped because more events were bad than there were.
    pub inconsistent: u64,
}

/// The memory of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    prev: Option<Prev>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Prev {
    value: f64,
    at_ms: i64,
    /// Until when the source is known to have been silent, which means unchanged.
    silent_until_ms: i64,
}

/// How the increase of a sample is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// The sample was ignored: nothing is remembered of it.
    Ignored,
    /// It is remembered and carries no increase.
    Baseline,
    /// The increase is the difference to the sample before.
    Previous,
    /// The increase is the whole value.
    Zero,
}

impl Series {
    /// Takes a sample and answers with the increase that it carries, if any. In the first round of its source a new series only sets
    /// its baseline; in a later one it counts from 0.
    pub fn advance(&mut self, sample: Sample, first_round: bool, bounds: Bounds, notes: &mut Notes) -> Option<f64> {
        let before = self.prev.map_or(0.0, |prev| prev.value);
        match self.classify(sample, first_round, bounds, notes) {
            Since::Ignored | Since::Baseline => None,
            Since::Previous => Some(sample.value - before),
            Since::Zero => Some(sample.value),
        }
    }

    /// The source says that nothing has changed up to this time, so a later sample's increase spans no gap before it.
    pub fn stay(&mut self, until_ms: i64) {
        if let Some(prev) = &mut self.prev {
            prev.silent_until_ms = prev.silent_until_ms.max(until_ms);
        }
    }

    pub(crate) fn classify(&mut self, sample: Sample, first_round: bool, bounds: Bounds, notes: &mut Notes) -> Since {
        if sample.at_ms < bounds.start_ms {
            return Since::Ignored;
        }
        if !sample.value.is_finite() || sample.value < 0.0 {
            notes.rejected = notes.rejected.saturating_add(1);
            return Since::Ignored;
        }
        let before = self.prev;
        if before.is_some_and(|prev| sample.at_ms <= prev.at_ms) {
            let is_older = before.is_some_and(|prev| sample.at_ms < prev.at_ms);
            notes.rejected = notes.rejected.saturating_add(u64::from(is_older));
            return Since::Ignored;
        }
        self.prev = Some(Prev { value: sample.value, at_ms: sample.at_ms, silent_until_ms: sample.at_ms });
        let Some(prev) = before else {
            return if first_round { Since::Baseline } else { Since::Zero };
        };
        let seen_ms = prev.at_ms.max(prev.silent_until_ms);
        if sample.at_ms.saturating_sub(seen_ms) > bounds.max_gap_ms {
            notes.gap_dropped = notes.gap_dropped.saturating_add(1);
            return Since::Baseline;
        }
        if sample.value < prev.value {
            notes.resets = notes.resets.saturating_add(1);
            return Since::Zero;
        }
        Since::Previous
    }
}

#[cfg(test)]
mod tests;
