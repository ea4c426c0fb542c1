//! Whether everything was as it must be. Each flaw is a sentence; one is enough to fail the demo.

use rollout::Stage;

use super::measure::{Measured, StepShare};
use super::play::Played;
use super::story::{CANDIDATE, SESSIONS, STABLE};
use crate::words::share;

/// After every router has confirmed a rollback, an answer of the candidate may begin this late at most (RELIABILITY).
const LATE_MS_MAX: i64 = 250;
/// How many standard deviations a step's share may be off: once in two million honest runs.
const SIGMAS: f64 = 5.0;

pub(super) fn flaws(played: &Played, measured: &Measured) -> Vec<String> {
    let mut flaws = outcome(played, measured);
    flaws.extend(promises(played, measured));
    flaws.extend(splits(played, measured));
    if played.story.is_silent() {
        flaws.extend(silence(played, measured));
    }
    flaws.into_iter().map(|flaw| format!("{}: {flaw}", played.story.name)).collect()
}

/// How it ended, in the rollout, at the router, and in the registry.
fn outcome(played: &Played, measured: &Measured) -> Vec<String> {
    let mut flaws = Vec::new();
    let (stage, end) = (played.rollout.stage, played.story.end);
    if stage != end {
        flaws.push(format!("the rollout ended {stage} and not {end}"));
    }
    let (active, share_now) = if end == Stage::Completed { (CANDIDATE, rollout::WHOLE) } else { (STABLE, 0) };
    if measured.active.as_deref() != Some(active) {
        flaws.push(format!("the registry's active version is {:?} and not {active}", measured.active));
    }
    let applied = played.rollout.split.applied;
    if applied != share_now {
        flaws.push(format!("the router has confirmed {} for {CANDIDATE} and not {}", share(applied), share(share_now)));
    }
    flaws
}

/// What no rollout may do to anybody.
fn promises(played: &Played, measured: &Measured) -> Vec<String> {
    let mut flaws = Vec::new();
    let report = &played.report;
    let failed_by_us = played.failed_by_us();
    if failed_by_us > 0 {
        flaws.push(format!("{failed_by_us} requests failed because of us: {:?}", report.failures));
    }
    if measured.sticky_violations > 0 {
        flaws.push(format!("{} times a session lost the version that it had", measured.sticky_violations));
    }
    if let Some(late) = measured.last_after_back_ms.filter(|late| *late > LATE_MS_MAX) {
        flaws.push(format!("an answer of {CANDIDATE} began {late} ms after the rollback was confirmed"));
    }
    if played.story.end == Stage::RolledBack && (measured.decided_at.is_none() || measured.back_at.is_none()) {
        flaws.push("the history does not tell when it turned back".to_owned());
    }
    flaws
}

/// A version that never answers must be gone by the age of its requests alone.
fn silence(played: &Played, measured: &Measured) -> Vec<String> {
    let mut flaws = Vec::new();
    if played.unanswered() == 0 {
        flaws.push(format!("{CANDIDATE} was to be silent, and every request was answered"));
    }
    match (measured.turned_ms(), played.silence_limit_ms()) {
        (Some(took), Some(limit)) if took <= limit => {}
        (took, limit) => {
            flaws.push(format!("the rollback took {took:?} ms from the begin of evidence, and the limit is {limit:?}"));
        }
    }
    flaws
}

/// Every step that the story has must have been confirmed by the router, in order, and felt by the sessions.
fn splits(played: &Played, measured: &Measured) -> Vec<String> {
    let mut flaws = Vec::new();
    let plan = played.rollout.plan.steps.iter().map(|step| step.split.candidates().basis_points());
    let wanted: Vec<u32> =
        if played.story.end == Stage::Completed { plan.collect() } else { plan.take(1).chain([0]).collect() };
    let seen: Vec<u32> = played.confirmed.iter().copied().skip_while(|share| *share == 0).collect();
    if seen != wanted {
        flaws.push(format!("the router confirmed {seen:?} basis points, wanted were {wanted:?}"));
    }
    let off = measured.steps.iter().filter(|step| step.desired < rollout::WHOLE && is_off(step));
    flaws.extend(off.map(|step| {
        let StepShare { desired, candidate, requests } = step;
        format!("at {} {CANDIDATE} served {candidate} of {requests} requests", share(*desired))
    }));
    flaws
}

/// Sessions are drawn by a hash and requests by chance; both scatter.
fn is_off(step: &StepShare) -> bool {
    let part = f64::from(step.desired) / f64::from(rollout::WHOLE);
    let requests = step.requests.max(1) as f64;
    let deviation = (part * (1.0 - part) * (1.0 / requests + 1.0 / f64::from(SESSIONS))).sqrt();
    (step.candidate as f64 / requests - part).abs() > SIGMAS * deviation
}
