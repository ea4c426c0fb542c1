//! One signal of one source and arm: all its numbers come from the same sample and are taken or left together.

use serde::{Deserialize, Serialize};

use crate::series::{Bounds, Notes, Sample, Series, Since};
use crate::signal::Signal;

/// How far `k` may lie above `n` by rounding.
const ROUNDING: f64 = 1e-9;

/// The memory of one signal. Its exposure decides, as a counter; the other numbers follow it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Track {
    series: Series,
    last: Option<Signal>,
    started_at_ms: i64,
}

impl Track {
    /// Takes a cumulative signal, read at and counted since those times; answers with its increase if there is one.
    pub(super) fn advance(
        &mut self,
        (signal, at_ms, started_at_ms): (&Signal, i64, i64),
        first_round: bool,
        bounds: Bounds,
        notes: &mut Notes,
    ) -> Option<Signal> {
        let exposure = match signal {
            Signal::Gauge { .. } | Signal::Buckets { .. } => None,
            _ => signal.exposure().filter(|_| signal.is_sound() && self.is_same_kind(signal)),
        };
        let Some(exposure) = exposure else {
            notes.rejected = notes.rejected.saturating_add(1);
            return None;
        };
        if self.is_other_cap(signal) {
            (self.series, self.last) = (Series::default(), None);
        }
        let was_started_at_ms = self.started_at_ms;
        let sample = Sample { at_ms, value: exposure };
        let since = match self.series.classify(sample, first_round, bounds, notes) {
            Since::Ignored => return None,
            since => since,
        };
        self.started_at_ms = started_at_ms;
        let before = self.last.replace(signal.clone());
        let increase = match since {
            Since::Zero => signal.clone(),
            Since::Previous => before
                .filter(|_| started_at_ms == was_started_at_ms)
                .and_then(|before| difference(signal, &before))
                .unwrap_or_else(|| {
                    notes.resets = notes.resets.saturating_add(1);
                    signal.clone()
                }),
            Since::Ignored | Since::Baseline => return None,
        };
        if !is_consistent(&increase) {
            notes.inconsistent = notes.inconsistent.saturating_add(1);
            return None;
        }
        Some(increase).filter(|increase| increase.exposure().is_some_and(|n| n > 0.0))
    }

    /// The source has been silent up to this time.
    pub(super) fn stay(&mut self, until_ms: i64) {
        self.series.stay(until_ms);
    }

    fn is_same_kind(&self, signal: &Signal) -> bool {
        self.last.as_ref().is_none_or(|last| std::mem::discriminant(last) == std::mem::discriminant(signal))
    }

    /// Values cut at another bound are another series.
    fn is_other_cap(&self, signal: &Signal) -> bool {
        matches!((&self.last, signal), (Some(Signal::Mean { cap: a, .. }), Signal::Mean { cap: b, .. }) if a != b)
    }
}

/// What was counted between two samples of one process; none if something fell, which means a reset.
fn difference(now: &Signal, before: &Signal) -> Option<Signal> {
    let rise = |now: f64, before: f64| (now >= before).then_some(now - before);
    match (now, before) {
        (Signal::Count { k, n }, Signal::Count { k: before_k, n: before_n }) => {
            Some(Signal::Count { k: rise(*k, *before_k)?, n: rise(*n, *before_n)? })
        }
        (Signal::Histogram { counts }, Signal::Histogram { counts: before }) => {
            Some(Signal::Histogram { counts: counts.since(before)? })
        }
        (Signal::Mean { n, s1, s2, cap }, Signal::Mean { n: before_n, s1: before_s1, s2: before_s2, .. }) => {
            Some(Signal::Mean { n: rise(*n, *before_n)?, s1: s1 - before_s1, s2: rise(*s2, *before_s2)?, cap: *cap })
        }
        (Signal::Spread { values }, Signal::Spread { values: before }) => {
            Some(Signal::Spread { values: values.since(before)? })
        }
        _ => None,
    }
}

/// Whether no more events are bad than there are, and no value comes from nothing.
fn is_consistent(increase: &Signal) -> bool {
    match increase {
        Signal::Count { k, n } => *k <= n * (1.0 + ROUNDING),
        Signal::Mean { n, s1, .. } => *n > 0.0 || *s1 == 0.0,
        Signal::Histogram { .. } | Signal::Buckets { .. } | Signal::Spread { .. } | Signal::Gauge { .. } => true,
    }
}
