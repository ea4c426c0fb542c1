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
const ALERTS: [Alert; 3] = [
    Alert { burn: 14.4, over: Span::from_secs(HOUR), and: Span::from_secs(5 * MINUTE) },
    Alert { burn: 6.0, over: Span::from_secs(6 * HOUR), and: Span::from_secs(30 * MINUTE) },
    Alert { burn: 1.0, over: Span::from_secs(72 * HOUR), and: Span::from_secs(6 * HOUR) },
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

/// What an arm's slices come to, by how far back one looks.
struct Totals {
    /// Milliseconds that the slices cover.
    covered: u64,
    windows: Vec<(Span, Option<Signal>)>,
}

impl Totals {
    fn over(&self, span: Span) -> Option<&Signal> {
        self.windows.iter().find(|(known, _)| *known == span)?.1.as_ref()
    }
}

impl Objective {
    /// How it stands after these slices, the newest last. What is older than they are is not known, and no alert looks back further.
    #[must_use]
    pub fn standing(&self, history: &[Slice<'_>]) -> Standing {
        let totals = self.totals(history);
        let (total, day) = (totals.over(self.window), totals.over(DAY));
        let counted = self.counted(total);
        let burning = |span| burn_rate(self.counted(totals.over(span)), self.budget);
        let is_alert = |alert: &Alert| {
            let is_known = totals.covered >= alert.over.0;
            is_known && burning(alert.over) >= alert.burn && burning(alert.and) >= alert.burn
        };
        let burn = burn_rate(self.counted(day), self.budget);
        Standing {
            value: total.and_then(|total| value(&self.kind, total)?.value),
            n: counted.total,
            remaining: remaining(counted, self.budget),
            burn,
            status: status(counted, self.budget, burn),
            alerts: ALERTS.into_iter().filter(is_alert).collect(),
        }
    }

    /// What the newest slices that fill each window come to, in one pass.
    fn totals(&self, history: &[Slice<'_>]) -> Totals {
        let spans = ALERTS.iter().flat_map(|alert| [alert.over, alert.and]).chain([self.window, DAY]);
        let mut windows: Vec<(Span, Option<Signal>)> = spans.map(|span| (span, None)).collect();
        windows.sort_by_key(|(span, _)| *span);
        let (mut covered, mut total): (u64, Option<Signal>) = (0, None);
        let mut filled = 0;
        for slice in history.iter().rev() {
            while windows.get(filled).is_some_and(|(span, _)| covered >= span.0) {
                windows[filled].1.clone_from(&total);
                filled += 1;
            }
            covered = covered.saturating_add(slice.length.0);
            let Some(signal) = slice.signals.get(self.kind.signal()) else { continue };
            match &mut total {
                None => total = Some(signal.clone()),
                Some(total) => total.add_cut(signal),
            }
        }
        windows[filled..].iter_mut().for_each(|(_, of_window)| of_window.clone_from(&total));
        Totals { covered, windows }
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
            // Nothing is spent bit by bit of what should be at least so much: it is so, or it is not.
            _ if self.is_least && value >= self.target => 0.0,
            _ if self.is_least => n,
            _ => n * value / self.target,
        };
        Counted { bad: if bad.is_finite() { bad.max(0.0) } else { n }, total: n }
    }
}

#[cfg(test)]
mod tests;
