//! From results to an action: the table of JUDGE section 9, row by row.

use serde::{Deserialize, Serialize};

use crate::check::Action;
use crate::settings::{OnDegraded, OnInconclusive};
use crate::verdict::{Decision, Outcome, Reason};

/// One check's result and what its breach leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The result.
    pub result: Outcome,
    /// What a breach leads to.
    pub action: Action,
}

/// Where a step stands in time; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Time since the split was applied.
    pub elapsed_ms: i64,
    /// Time of that in which the step was paused.
    pub held_ms: i64,
    /// How long the step runs.
    pub dwell_ms: i64,
    /// How long it may go on after that.
    pub budget_ms: i64,
    /// Earliest promotion of a passing step, if that is allowed.
    pub min_dwell_ms: Option<i64>,
}

/// What the plan says about results that are no clear pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stance {
    /// What a degraded check leads to.
    pub on_degraded: OnDegraded,
    /// What happens when the budget is spent.
    pub on_inconclusive: OnInconclusive,
}

/// The outcome of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The worst result that counts.
    pub result: Outcome,
    /// Why, where the table itself is the reason.
    pub reason: Option<Reason>,
    /// What to do.
    pub action: Decision,
}

/// The worst result of the checks that count: neither `report` nor not applicable. No checks at all are inconclusive.
#[must_use]
pub fn combine(checks: &[Standing]) -> Outcome {
    if checks.is_empty() {
        return Outcome::Inconclusive;
    }
    counted(checks).map(|check| check.result).max().unwrap_or(Outcome::Pass)
}

/// The action for a step that waits for a verdict.
#[must_use]
pub fn decide(checks: &[Standing], clock: Clock, stance: Stance) -> Ruling {
    let result = combine(checks);
    let ruling = |action, reason| Ruling { result, reason, action };
    let breached = |action| counted(checks).any(|check| check.result == Outcome::Breach && check.action == action);
    let degraded = counted(checks).any(|check| check.result == Outcome::Degraded);
    if breached(Action::Rollback) {
        return ruling(Decision::Rollback, Some(Reason::Breach));
    }
    if result != Outcome::Breach && degraded && stance.on_degraded == OnDegraded::Rollback {
        return ruling(Decision::Rollback, Some(Reason::Degraded));
    }
    if breached(Action::Gate) {
        return ruling(Decision::Gate, Some(Reason::Breach));
    }
    let healthy =
        result == Outcome::Pass || (result == Outcome::Degraded && stance.on_degraded == OnDegraded::Continue);
    let earliest =
        clock.min_dwell_ms.map_or(clock.dwell_ms, |least| least.min(clock.dwell_ms)).saturating_add(clock.held_ms);
    let end = clock.dwell_ms.saturating_add(clock.held_ms);
    if healthy && clock.elapsed_ms >= earliest {
        return ruling(Decision::Advance, None);
    }
    if breached(Action::Hold) && clock.elapsed_ms < end.saturating_add(clock.budget_ms) {
        return ruling(Decision::Hold, Some(Reason::Breach));
    }
    if clock.elapsed_ms < end {
        return ruling(Decision::Wait, None);
    }
    if clock.elapsed_ms < end.saturating_add(clock.budget_ms) {
        return ruling(Decision::Extend, None);
    }
    let last = match stance.on_inconclusive {
        OnInconclusive::Rollback => Decision::Rollback,
        OnInconclusive::Hold => Decision::Hold,
        OnInconclusive::Gate => Decision::Gate,
    };
    ruling(last, Some(Reason::Inconclusive))
}

/// The action for a step that waits for no verdict: it runs its dwell, and only a breach matters.
#[must_use]
pub fn decide_unjudged(checks: &[Standing], clock: Clock) -> Ruling {
    let result = combine(checks);
    let breached = |action| counted(checks).any(|check| check.result == Outcome::Breach && check.action == action);
    for (action, decision) in
        [(Action::Rollback, Decision::Rollback), (Action::Gate, Decision::Gate), (Action::Hold, Decision::Hold)]
    {
        if breached(action) {
            return Ruling { result, reason: Some(Reason::Breach), action: decision };
        }
    }
    let over = clock.elapsed_ms >= clock.dwell_ms.saturating_add(clock.held_ms);
    Ruling { result, reason: None, action: if over { Decision::Advance } else { Decision::Wait } }
}

/// The same while users get another share than was asked for: what was measured is of another experiment, so nothing goes on, and
/// nobody goes back for it, however long it takes a person to look. A breach counts all the same.
#[must_use]
pub fn in_drift(ruling: Ruling) -> Ruling {
    if ruling.result == Outcome::Breach || ruling.reason == Some(Reason::Degraded) {
        return ruling;
    }
    Ruling { result: ruling.result.max(Outcome::Error), reason: Some(Reason::SplitDrift), action: Decision::Hold }
}

fn counted(checks: &[Standing]) -> impl Iterator<Item = &Standing> {
    checks.iter().filter(|check| check.action != Action::Report && check.result != Outcome::NotApplicable)
}
