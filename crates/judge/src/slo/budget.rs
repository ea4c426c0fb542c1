//! Error budgets of service level objectives (JUDGE section 11; Google SRE Workbook, chapter 5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An overspent budget, rounding aside.
const NOTHING: f64 = 1e-12;

/// Burn rates of the last 24 hours from which a budget is critical, and from which it is a warning.
const CRITICAL: f64 = 10.0;
const WARNING: f64 = 2.0;

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing was counted.
    Unknown,
    /// It is spent as planned, or slower.
    Healthy,
    /// It is spent at least twice as fast as planned.
    Warning,
    /// It is spent at least ten times as fast as planned.
    Critical,
    /// Nothing is left.
    Exhausted,
}

/// Bad events out of all, in a window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Bad events.
    pub bad: f64,
    /// All events.
    pub total: f64,
}

/// The part of a budget (a share of bad events, above 0) that is left: 1 before any event, negative when overspent.
#[must_use]
pub fn remaining(period: Counted, budget: f64) -> f64 {
    if period.total > 0.0 { 1.0 - (period.bad / period.total) / budget } else { 1.0 }
}

/// How many times faster than planned a budget is spent in a window; 0 without events.
#[must_use]
pub fn burn_rate(window: Counted, budget: f64) -> f64 {
    if window.total > 0.0 { (window.bad / window.total) / budget } else { 0.0 }
}

/// The status of a budget: `period` is what it is for, `burn` the rate of the last 24 hours.
#[must_use]
pub fn status(period: Counted, budget: f64, burn: f64) -> Status {
    if period.total <= 0.0 {
        return Status::Unknown;
    }
    if remaining(period, budget) <= NOTHING {
        return Status::Exhausted;
    }
    match burn {
        burn if burn >= CRITICAL => Status::Critical,
        burn if burn >= WARNING => Status::Warning,
        _ => Status::Healthy,
    }
}
