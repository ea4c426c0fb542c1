//! The rounds of the threshold method that are due in a tick.

use super::{failures, report};
use crate::check::{Action, Method};
use crate::resolved::{Resolved, ResolvedCheck, ResolvedRule};
use crate::settings::Baseline;
use crate::signal::Signal;
use crate::state::{Round, State};
use crate::threshold::evaluate;
use crate::tick::{Arm, Tick};
use crate::verdict::{Comparison, Outcome, Reason};
use crate::window::{Measured, measure, value};

/// Holds the rounds of all checks that are due, then counts failures and latches breaches.
pub(super) fn hold(
    resolved: &Resolved,
    state: &mut State,
    ticks: (&[Tick], &Tick),
    is_due: impl Fn(&ResolvedCheck) -> bool,
) {
    let mut is_fresh = vec![false; state.rules.len()];
    let mut measured: Option<(usize, Option<Measured>)> = None;
    for (at, (index, check, rule)) in resolved.rules().enumerate() {
        let is_held = check.method == Method::Threshold || falls_back(check, rule, ticks.1);
        if !is_held || !is_due(check) || state.rules.get(at).is_none_or(|known| known.is_latched) {
            continue;
        }
        let candidate = match measured {
            Some((known, candidate)) if known == index => candidate,
            _ => measure(&check.kind, check.window, Arm::Candidate, ticks),
        };
        measured = Some((index, candidate));
        let round = opponent(check, rule, state, ticks).map(|(comparison, stable)| {
            let (result, reason) = compare(check, rule, candidate, (comparison, stable));
            Round { elapsed_ms: ticks.1.elapsed_ms, result, reason, comparison, candidate, stable }
        });
        state.rules[at].round = round;
        is_fresh[at] = true;
    }
    count_failures(resolved, state, &is_fresh);
    latch(resolved, state);
}

/// Whether a sequential rule is judged against the recorded baseline, as stable has no traffic in this step.
fn falls_back(check: &ResolvedCheck, rule: &ResolvedRule, tick: &Tick) -> bool {
    check.baseline == Baseline::Fallback && rule.comparator.is_relative() && !tick.stable_planned
}

/// What a rule compares with, and its numbers; none if the rule does not apply in this step.
fn opponent(
    check: &ResolvedCheck,
    rule: &ResolvedRule,
    state: &State,
    ticks: (&[Tick], &Tick),
) -> Option<(Comparison, Option<Measured>)> {
    if !rule.comparator.is_relative() {
        return Some((Comparison::None, None));
    }
    if ticks.1.stable_planned {
        return Some((Comparison::Concurrent, measure(&check.kind, check.window, Arm::Stable, ticks)));
    }
    // What was cut is not compared with what was not.
    let is_cut = matches!(ticks.1.candidate.get(check.kind.signal()), Some(Signal::Mean { cap: Some(_), .. }));
    let recorded = state.baseline.get(check.kind.signal()).filter(|_| !is_cut);
    (check.baseline == Baseline::Fallback)
        .then(|| (Comparison::Baseline, recorded.and_then(|total| value(&check.kind, total))))
}

fn compare(
    check: &ResolvedCheck,
    rule: &ResolvedRule,
    candidate: Option<Measured>,
    (comparison, stable): (Comparison, Option<Measured>),
) -> (Outcome, Option<Reason>) {
    let sample = |measured: Option<Measured>| measured.map(|measured| measured.sample());
    let (result, reason) = evaluate(rule, check.min_samples, sample(candidate), sample(stable));
    if reason == Some(Reason::NoStableData) && comparison == Comparison::Baseline {
        return (result, Some(Reason::NoBaseline));
    }
    // Whatever lies above the last edge, a limit up there can't be told to hold.
    let is_above = candidate.is_some_and(|measured| measured.is_above);
    if is_above && result == Outcome::Pass && !rule.comparator.fears_decrease() {
        return (Outcome::Inconclusive, Some(Reason::AboveLastEdge));
    }
    let is_no_share = candidate.into_iter().chain(stable).any(|measured| measured.is_no_share);
    if is_no_share && matches!(result, Outcome::Pass | Outcome::Breach) {
        return (Outcome::Inconclusive, Some(Reason::NotAProportion));
    }
    (result, reason)
}

/// A rule that held no round in this tick stands with its last result, except a breach, which was counted in its time.
fn count_failures(resolved: &Resolved, state: &mut State, is_fresh: &[bool]) {
    for (at, counter) in resolved.counters.iter().enumerate() {
        let members =
            || (0..).zip(resolved.rules()).filter(|(_, (_, _, rule))| usize::try_from(rule.counter) == Ok(at));
        if !members().any(|(index, _)| is_fresh.get(index) == Some(&true)) {
            continue;
        }
        let standing = |index: usize| match state.rules.get(index).and_then(|rule| rule.round) {
            Some(round) if is_fresh[index] || round.result != Outcome::Breach => round.result,
            None if is_fresh[index] => Outcome::NotApplicable,
            _ => Outcome::Inconclusive,
        };
        let results: Vec<Outcome> = members().map(|(index, _)| standing(index)).collect();
        if let Some(count) = state.counters.get_mut(at) {
            *count = failures::advance(*count, counter.mode, &results);
        }
    }
}

fn latch(resolved: &Resolved, state: &mut State) {
    for (at, (_, check, rule)) in resolved.rules().enumerate() {
        let is_final = report::standing(resolved, state, (at, check, rule)).0 == Outcome::Breach
            && report::action(state, at, check) == Action::Rollback;
        if let Some(known) = state.rules.get_mut(at) {
            known.is_latched |= is_final;
        }
    }
}
