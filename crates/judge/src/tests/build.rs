//! Short ways to say a policy and its ticks.

use serde_json::Value;

use crate::{Check, Counts, Signal, SignalName, Signals, Span, StepShape, Tick};

/// A check from the JSON that a policy would hold.
pub(crate) fn deep_check(json: Value) -> Check {
    serde_json::from_value(json).unwrap()
}

/// A threshold check of one absolute rule.
pub(crate) fn check(metric: &str, comparator: &str, limit: &str) -> Check {
    deep_check(serde_json::json!({"metric": metric, "rules": [{comparator: limit}], "method": "threshold"}))
}

pub(crate) fn step(dwell_seconds: u64) -> StepShape {
    StepShape { dwell: Span::from_secs(dwell_seconds), share: 0.05 }
}

pub(crate) fn count(name: SignalName, k: f64, n: f64) -> Signals {
    Signals::from([(name, Signal::Count { k, n })])
}

/// `items` observations that sum to `s1`.
pub(crate) fn mean(name: &str, items: f64, s1: f64) -> Signals {
    let s2 = if items > 0.0 { s1 * s1 / items } else { 0.0 };
    Signals::from([(SignalName::observation(name), Signal::Mean { n: items, s1, s2, cap: None })])
}

pub(crate) fn histogram(cells: &[(f64, u64)]) -> Signals {
    let mut counts = Counts::new();
    for (ms, events) in cells {
        counts.add_events(crate::edges::bucket_of(*ms), *events);
    }
    Signals::from([(SignalName::latency(), Signal::Histogram { counts })])
}

/// A tick of step 0 with the stable arm planned.
pub(crate) fn tick(number: u64, elapsed_seconds: i64, candidate: Signals, stable: Signals) -> Tick {
    Tick {
        tick: number,
        elapsed_ms: elapsed_seconds * 1000,
        stable_planned: true,
        candidate,
        stable,
        ..Tick::default()
    }
}
