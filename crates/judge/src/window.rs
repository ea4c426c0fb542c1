//! The value of a metric over a window of ticks (JUDGE section 8).

use serde::{Deserialize, Serialize};

use crate::check::Window;
use crate::edges::LATENCY_EDGES_MS;
use crate::metric::Metric;
use crate::quantile::{Quantile, quantile};
use crate::signal::Signal;
use crate::threshold::Sample;
use crate::tick::{Arm, Tick};

/// What one arm's window comes to. Numbers that are not finite are absent here and `is_number` is false.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The metric's value.
    pub(crate) value: Option<f64>,
    /// What it is based on; absent for a gauge.
    pub(crate) n: Option<f64>,
    /// The events counted, for a share.
    pub(crate) k: Option<f64>,
    /// Relative error bound of a quantile; absent above the last edge.
    pub(crate) error: Option<f64>,
    /// Whether this is a quantile above the last edge.
    pub(crate) is_above: bool,
    /// Whether this is a share outside 0 to 1.
    pub(crate) is_no_share: bool,
}

impl Measured {
    /// The value as the threshold method takes it.
    pub(crate) fn sample(&self) -> Sample {
        Sample { value: self.value.unwrap_or(f64::NAN), n: self.n }
    }
}

/// Adds up a metric's signal over the window that ends with the newest tick; none if nothing arrived.
pub(crate) fn measure(metric: &Metric, window: Window, arm: Arm, ticks: (&[Tick], &Tick)) -> Option<Measured> {
    let (tail, newest) = ticks;
    let mut total: Option<Signal> = None;
    let (mut above, mut elapsed_ms) = (u64::MAX, newest.elapsed_ms);
    let mut kept: Vec<&Signal> = Vec::new();
    // Newest first, so that a tick which the tail repeats is seen once.
    for tick in std::iter::once(newest).chain(tail.iter().rev()) {
        if tick.tick >= above {
            continue;
        }
        // A step that began anew has its number still: what is before that is of another attempt.
        if tick.step == newest.step && tick.elapsed_ms > elapsed_ms {
            break;
        }
        (above, elapsed_ms) = (tick.tick, tick.elapsed_ms);
        if is_inside(tick, newest, window)
            && let Some(signal) = tick.arm(arm).get(metric.signal())
        {
            kept.push(signal);
        }
    }
    for signal in kept.into_iter().rev() {
        match &mut total {
            None => total = Some(signal.clone()),
            Some(total) => total.add_or_follow(signal),
        }
    }
    total.and_then(|total| value(metric, &total))
}

/// The value of a metric whose signal has been added up; none if it is empty.
pub(crate) fn value(metric: &Metric, total: &Signal) -> Option<Measured> {
    let exposure = total.exposure();
    if exposure.is_some_and(|n| n <= 0.0) {
        return None;
    }
    let n = exposure.filter(|n| n.is_finite());
    let plain = Measured { value: None, n, k: None, error: None, is_above: false, is_no_share: false };
    match (metric, total) {
        (_, Signal::Gauge { value, .. }) => Some(Measured { value: finite(*value), n: None, ..plain }),
        (Metric::Proportion { complement, .. }, Signal::Count { k, n } | Signal::Mean { s1: k, n, .. }) => {
            let counted = if *complement { n - k } else { *k };
            let share = counted / n;
            let is_no_share = !(-1e-9..=1.0 + 1e-9).contains(&share);
            Some(Measured { value: finite(share), k: finite(counted), is_no_share, ..plain })
        }
        (Metric::Quantile { percent, .. }, Signal::Histogram { counts }) => {
            let found = quantile(&LATENCY_EDGES_MS, &counts.dense(), f64::from(*percent) / 100.0)?;
            Some(of_quantile(plain, found))
        }
        (Metric::Quantile { percent, .. }, Signal::Buckets { edges, counts }) => {
            Some(of_quantile(plain, quantile(edges, counts, f64::from(*percent) / 100.0)?))
        }
        (Metric::Rate { .. }, Signal::Count { k, n }) => {
            Some(Measured { value: finite(k / n), k: finite(*k), ..plain })
        }
        (Metric::Mean { .. }, Signal::Mean { n, s1, .. } | Signal::Count { n, k: s1 }) => {
            Some(Measured { value: finite(s1 / n), ..plain })
        }
        _ => None,
    }
}

fn of_quantile(plain: Measured, found: Quantile) -> Measured {
    let is_above = found.upper.is_infinite();
    Measured { value: finite(found.value), error: finite(found.error), is_above, ..plain }
}

fn is_inside(tick: &Tick, newest: &Tick, window: Window) -> bool {
    let start = match window {
        Window::Step => i64::MIN,
        Window::Last(span) => newest.elapsed_ms.saturating_sub(span.ms()),
    };
    tick.step == newest.step && !tick.warmup && tick.elapsed_ms > start && tick.elapsed_ms <= newest.elapsed_ms
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}
