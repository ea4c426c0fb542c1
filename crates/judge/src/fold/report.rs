//! The state told as a verdict.

use crate::check::Action;
use crate::decision::{Clock, Ruling, Stance, Standing, decide, decide_unjudged, in_drift};
use crate::fold::{evidence, failures};
use crate::resolved::{Resolved, ResolvedCheck, ResolvedRule, ResolvedStep};
use crate::settings::Baseline;
use crate::state::{Moment, State};
use crate::verdict::{
    CheckResult, Comparison, ENGINE, Failures, Guarantee, Outcome, Progress, Reason, SplitEvidence, Verdict, Warning,
};
use crate::window::Measured;

/// A quantile whose error is above this is warned about.
const COARSE: f64 = 0.10;

/// The verdict of a state.
pub(super) fn verdict(resolved: &Resolved, state: &State) -> Verdict {
    let checks: Vec<CheckResult> = resolved
        .rules()
        .enumerate()
        .map(|(at, (index, check, rule))| entry((resolved, state), (at, index), check, rule))
        .collect();
    let last = state.last;
    let (step, clock) = clock(resolved, state);
    let ruling = ruling(resolved, state);
    let window = progress(clock, last, step.warmup.ms());
    Verdict {
        step: last.map_or(0, |last| last.step),
        tick: state.last_tick(),
        result: ruling.result,
        reason: reason(ruling, &checks),
        action: ruling.action,
        evidence: evidence::classes(resolved, state),
        power: evidence::power(
            &checks,
            clock.elapsed_ms.saturating_sub(step.warmup.ms()).saturating_sub(clock.held_ms),
            resolved.beta,
            &window,
        ),
        split: split(step, state),
        checks,
        window,
        engine: ENGINE.to_owned(),
    }
}

/// The share that users got, of one that was asked for.
fn split(step: ResolvedStep, state: &State) -> Option<SplitEvidence> {
    let observed = state.split.observed()?;
    Some(SplitEvidence {
        expected_bp: points(step.share),
        observed_bp: points(observed),
        ln_e: state.split.ln_e().max(f64::MIN),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
fn points(share: f64) -> u32 {
    (share * 10_000.0).round() as u32
}

/// What the state asks for.
pub(super) fn ruling(resolved: &Resolved, state: &State) -> Ruling {
    let standings: Vec<Standing> = resolved
        .rules()
        .enumerate()
        .map(|(at, (_, check, rule))| Standing {
            result: standing(resolved, state, (at, check, rule)).0,
            action: action(state, at, check),
        })
        .collect();
    let (step, clock) = clock(resolved, state);
    let stance = Stance { on_degraded: resolved.on_degraded, on_inconclusive: resolved.on_inconclusive };
    let ruling = if step.judged { decide(&standings, clock, stance) } else { decide_unjudged(&standings, clock) };
    if state.split.is_alarmed() { in_drift(ruling) } else { ruling }
}

/// The newest tick's step, and where it stands in time.
fn clock(resolved: &Resolved, state: &State) -> (ResolvedStep, Clock) {
    let last = state.last;
    let step = resolved.step(last.map_or(0, |last| last.step));
    let clock = Clock {
        elapsed_ms: last.map_or(0, |last| last.elapsed_ms),
        held_ms: last.map_or(0, |last| last.held_ms),
        dwell_ms: step.dwell.ms(),
        budget_ms: step.budget.ms(),
        min_dwell_ms: step.min_dwell.map(crate::span::Span::ms),
    };
    (step, clock)
}

/// A rule's result and reason now.
pub(super) fn standing(
    resolved: &Resolved,
    state: &State,
    (at, check, rule): (usize, &ResolvedCheck, &ResolvedRule),
) -> (Outcome, Option<Reason>) {
    let known = state.rules.get(at);
    let round = known.and_then(|known| known.round);
    let last = state.last;
    let stable_planned = last.is_none_or(|last| last.stable_planned);
    if let Some(result) = evidence::standing(resolved, state, (at, check, rule)) {
        return troubled(state, check, result);
    }
    if known.is_some_and(|known| known.is_latched) {
        return (Outcome::Breach, round.and_then(|round| round.reason));
    }
    if rule.comparator.is_relative() && !stable_planned && check.baseline == Baseline::None {
        return (Outcome::NotApplicable, Some(Reason::NoStableArm));
    }
    let result = match round {
        Some(round) => (round.result, round.reason),
        None if last.is_some_and(|last| last.warmup) => (Outcome::Inconclusive, Some(Reason::WarmingUp)),
        None => (Outcome::NoData, Some(Reason::NoEvidenceYet)),
    };
    let result = failures::result(result, failed_rounds(state, rule), rule.failure_limit);
    troubled(state, check, result)
}

/// A result, unless its source is in trouble: whatever was proved before, nothing passes meanwhile.
fn troubled(state: &State, check: &ResolvedCheck, result: (Outcome, Option<Reason>)) -> (Outcome, Option<Reason>) {
    let trouble = state.troubles.get(check.kind.signal());
    match trouble.map(|troubled| troubled.trouble.result(troubled.for_ms >= check.max_blind.ms())) {
        Some((outcome, reason)) if !matches!(result.0, Outcome::Breach | Outcome::NotApplicable) => {
            (outcome, Some(reason))
        }
        _ => result,
    }
}

/// What a rule's breach leads to now: against a recorded baseline it blocks, because the time is another.
pub(super) fn action(state: &State, at: usize, check: &ResolvedCheck) -> Action {
    let round = state.rules.get(at).and_then(|known| known.round);
    let against_baseline = round.is_some_and(|round| round.comparison == Comparison::Baseline);
    if against_baseline && check.action != Action::Report { Action::Hold } else { check.action }
}

fn entry(
    (resolved, state): (&Resolved, &State),
    (at, index): (usize, usize),
    check: &ResolvedCheck,
    rule: &ResolvedRule,
) -> CheckResult {
    let (result, reason) = standing(resolved, state, (at, check, rule));
    let sequential = evidence::entry(resolved, state, (at, check, rule), result);
    let held = state.rules.get(at).and_then(|known| known.round).filter(|_| result != Outcome::NotApplicable);
    let (round, gate) = match sequential {
        Some(found) => (Some(found.round), Some(found.gate)),
        None => (held, None),
    };
    let candidate = round.and_then(|round| round.candidate);
    let stable = round.and_then(|round| round.stable);
    let value = candidate.and_then(|measured| measured.value);
    let stable_value = stable.and_then(|measured| measured.value);
    let bad = |measured: Measured| {
        let other = measured.n.zip(measured.k).map(|(n, k)| n - k);
        if rule.comparator.fears_decrease() { other } else { measured.k }
    };
    CheckResult {
        check: u32::try_from(index).unwrap_or(u32::MAX),
        metric: check.metric.clone(),
        rule: rule.name,
        method: check.method,
        action: action(state, at, check),
        result,
        reason,
        breached: round.is_some_and(|round| round.result == Outcome::Breach),
        comparison: comparison(round.map(|round| round.comparison), rule),
        guarantee: if gate.is_some() { Guarantee::Alpha } else { Guarantee::None },
        value,
        stable_value,
        ratio: value.zip(stable_value).map(|(a, b)| a / b).filter(|ratio| ratio.is_finite()),
        limit: rule.limit,
        tolerance: resolved.sequential.gates.iter().find(|gate| gate.rule == at).and_then(|gate| gate.tolerance),
        comparator: rule.comparator,
        n_candidate: candidate.and_then(|measured| measured.n),
        n_stable: stable.and_then(|measured| measured.n),
        bad_candidate: candidate.and_then(bad),
        bad_stable: stable.and_then(bad),
        window: check.window,
        judged_at: round.map(|round| round.elapsed_ms),
        query: None,
        trouble: None,
        evidence: gate,
        quantile_error: candidate.and_then(|measured| measured.error),
        resets: state.resets.get(check.kind.signal()).copied().unwrap_or(0),
        failures: Failures { count: failed_rounds(state, rule), limit: rule.failure_limit, mode: rule.failure_mode },
        warnings: warnings(candidate, stable).into_iter().chain(evidence::warnings(resolved, state, at)).collect(),
    }
}

fn comparison(held: Option<Comparison>, rule: &ResolvedRule) -> Comparison {
    let planned = if rule.comparator.is_relative() { Comparison::Concurrent } else { Comparison::None };
    held.unwrap_or(planned)
}

fn failed_rounds(state: &State, rule: &ResolvedRule) -> u32 {
    usize::try_from(rule.counter).ok().and_then(|at| state.counters.get(at)).copied().unwrap_or(0)
}

fn warnings(candidate: Option<Measured>, stable: Option<Measured>) -> Vec<Warning> {
    let sides = || candidate.into_iter().chain(stable);
    let coarse = sides().any(|side| side.error.is_some_and(|error| error > COARSE));
    let above = sides().any(|side| side.is_above);
    let found = [(coarse, Warning::CoarseBuckets), (above, Warning::AboveLastEdge)];
    found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning).collect()
}

/// The table's own reason, else that of the first check with the step's result.
fn reason(ruling: Ruling, checks: &[CheckResult]) -> Option<Reason> {
    if ruling.reason.is_some() || ruling.result == Outcome::Pass {
        return ruling.reason;
    }
    if checks.is_empty() {
        return Some(Reason::NoChecks);
    }
    let decides = |check: &&CheckResult| check.result == ruling.result && check.action != Action::Report;
    checks.iter().find(decides).and_then(|check| check.reason)
}

fn progress(clock: Clock, last: Option<Moment>, warmup_until: i64) -> Progress {
    let dwell_until = clock.dwell_ms.saturating_add(clock.held_ms);
    Progress {
        elapsed: clock.elapsed_ms,
        held: clock.held_ms,
        warmup_until,
        dwell_until,
        budget_until: dwell_until.saturating_add(clock.budget_ms),
        ticks: last.map_or(0, |last| last.ticks),
        empty_ticks: last.map_or(0, |last| last.empty_ticks),
    }
}
