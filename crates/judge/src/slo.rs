//! Service level objectives: what users may expect of a model, beside the limits at which a version goes back.
//!
//! An objective never takes anybody back. It says, for both arms, how much of its error budget an hour of them has spent, and how
//! quickly (JUDGE section 11; Google SRE Workbook, chapter 5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::quantile::tail_above;
use crate::signal::{Signal, Signals};
use crate::span::Span;
use crate::window::value;

pub mod budget;
mod resolve;

pub(crate) use resolve::resolve;

use budget::{Counted, Status, burn_rate, remaining, status};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// How far back the burn rate of a status looks.
const DAY: Span = Span::from_secs(24 * HOUR);

/// Burn rates that alert, each over a long window and, so that it ends with its cause, over a short one.
const ALERTS: [(f64, Span, Span); 3] = [
    (14.4, Span::from_secs(HOUR), Span::from_secs(5 * MINUTE)),
    (6.0, Span::from_secs(6 * HOUR), Span::from_secs(30 * MINUTE)),
    (1.0, Span::from_secs(72 * HOUR), Span::from_secs(6 * HOUR)),
];

/// An objective as a policy writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// The metric's name, such as `task_success_rate` or `p95_latency_ms`.
    pub metric: String,
    /// The least that it should be; or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What time the budget is for; an hour when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// The share of events that may be bad; what the target leaves when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
}

/// An objective with every number filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// The metric's name.
    pub metric: String,
    /// What the name means.
    pub kind: Metric,
    /// What it should be.
    pub target: f64,
    /// Whether that is the least, and not the most.
    pub is_least: bool,
    /// What time the budget is for.
    pub window: Span,
    /// The share of events that may be bad; 1 for a mean, whose target is its whole budget.
    pub budget: f64,
}

/// How an objective stands in one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// The metric's value in the window.
    pub value: Option<f64>,
    /// What it is based on.
    pub n: f64,
    /// The part of the budget that is left: 1 before any event, negative when overspent.
    pub remaining: f64,
    /// How many times faster than planned it is spent, over the last 24 hours.
    pub burn: f64,
    /// What that means.
    pub status: Status,
    /// Burn rates that alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
}

/// A budget that is spent too fast, over a long window and over a short one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// How many times faster than planned at least.
    pub burn: f64,
    /// The long window.
    pub over: Span,
    /// The short one.
    pub and: Span,
}

/// What one arm counted in some time.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// How long that was.
    pub length: Span,
    /// What was counted.
    pub signals: &'a Signals,
}

impl Objective {
    /// How it stands after these slices, the newest last. Windows that go back further hold what there is.
    #[must_use]
    pub fn standing(&self, history: &[Slice<'_>]) -> Standing {
        let total = self.total(history, self.window);
        let counted = self.counted(total.as_ref());
        let burning = |span| burn_rate(self.counted(self.total(history, span).as_ref()), self.budget);
        let burn = burning(DAY);
        let is_alert = |(least, long, short): &(f64, Span, Span)| burning(*long) >= *least && burning(*short) >= *least;
        Standing {
            value: total.as_ref().and_then(|total| value(&self.kind, total)?.value),
            n: counted.total,
            remaining: remaining(counted, self.budget),
            burn,
            status: status(counted, self.budget, burn),
            alerts: ALERTS
                .iter()
                .filter(|alert| is_alert(alert))
                .map(|(burn, over, and)| Alert { burn: *burn, over: *over, and: *and })
                .collect(),
        }
    }

    /// What the newest slices that fill a window come to.
    fn total(&self, history: &[Slice<'_>], window: Span) -> Option<Signal> {
        let mut covered = 0;
        let mut total: Option<Signal> = None;
        for slice in history.iter().rev().take_while(|slice| {
            let is_inside = covered < window.0;
            covered += slice.length.0;
            is_inside
        }) {
            let Some(signal) = slice.signals.get(self.kind.signal()) else { continue };
            match &mut total {
                None => total = Some(signal.clone()),
                Some(total) => _ = total.add(signal),
            }
        }
        total
    }

    /// Bad events out of all. Of a mean no event is bad by itself: what it has spent of its target is.
    fn counted(&self, total: Option<&Signal>) -> Counted {
        let Some((total, measured)) = total.and_then(|total| Some((total, value(&self.kind, total)?))) else {
            return Counted::default();
        };
        let (Some(n), Some(value)) = (measured.n, measured.value) else { return Counted::default() };
        let bad = match &self.kind {
            Metric::Proportion { .. } if self.is_least => (1.0 - value) * n,
            Metric::Proportion { .. } => value * n,
            Metric::Quantile { .. } => tail_above(total, self.target),
            _ if self.is_least => n * self.target / value,
            _ => n * value / self.target,
        };
        Counted { bad: if bad.is_finite() { bad.max(0.0) } else { n }, total: n }
    }
}

#[cfg(test)]
mod tests;
