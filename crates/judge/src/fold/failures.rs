//! Counters of failed rounds (JUDGE section 8).

use crate::check::FailureMode;
use crate::verdict::{Outcome, Reason};

/// The count after a round, given the results of all rules of the counter: at most one more, or none if all of them pass.
pub(crate) fn advance(count: u32, mode: FailureMode, results: &[Outcome]) -> u32 {
    if results.contains(&Outcome::Breach) {
        return count.saturating_add(1);
    }
    let mut applicable = results.iter().filter(|result| **result != Outcome::NotApplicable).peekable();
    let all_pass = applicable.peek().is_some() && applicable.all(|result| *result == Outcome::Pass);
    if mode == FailureMode::Consecutive && all_pass { 0 } else { count }
}

/// The count at the entry of a step.
pub(crate) const fn enter_step(count: u32, mode: FailureMode) -> u32 {
    match mode {
        FailureMode::Consecutive => 0,
        FailureMode::Total => count,
    }
}

/// The result of a rule, given its last round and its counter.
pub(crate) fn result(round: (Outcome, Option<Reason>), count: u32, limit: u32) -> (Outcome, Option<Reason>) {
    if count >= limit.max(1) {
        return (Outcome::Breach, round.1.filter(|_| round.0 == Outcome::Breach));
    }
    if round.0 == Outcome::Breach {
        return (Outcome::Inconclusive, Some(Reason::Failing));
    }
    round
}
