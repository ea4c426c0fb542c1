//! The per-plan fields and the steps.

use super::Findings;
use crate::resolved::ResolvedStep;
use crate::settings::{Settings, StepShape};
use crate::span::Span;

/// Probability of a false breach in the whole rollout.
pub(super) const ALPHA: f64 = 0.01;

/// Probability of a false proof of health in a step.
pub(super) const BETA: f64 = 0.05;

/// Rollouts of one version in a day.
pub(super) const RETRIES_PER_DAY: u32 = 3;

const TICK: Span = Span::from_secs(15);
const TICK_MIN: Span = Span::from_secs(5);
const TICK_MAX: Span = Span::from_secs(300);

/// Longest warm-up that nobody asked for: caches and pools of a model server are warm by then.
const WARMUP_MAX: Span = Span::from_secs(180);

/// A default warm-up takes this part of the dwell.
const WARMUP_PART: u64 = 10;

/// The default budget in dwells: 98 % of healthy candidates are proved in two (JUDGE section 9).
const BUDGET_DWELLS: u64 = 2;

pub(super) fn tick(settings: &Settings, findings: &mut Findings) -> Span {
    let tick = settings.tick.unwrap_or(TICK);
    if !(TICK_MIN..=TICK_MAX).contains(&tick) {
        findings.refuse("tick", format!("{tick} is outside {TICK_MIN} to {TICK_MAX}: write {TICK}"));
    }
    tick
}

pub(super) fn probabilities(settings: &Settings, findings: &mut Findings) {
    for (name, given, default) in [("alpha", settings.alpha, ALPHA), ("beta", settings.beta, BETA)] {
        if let Some(given) = given
            && !(given > 0.0 && given <= 0.5)
        {
            findings.refuse(name, format!("{given} is outside (0, 0.5]: write {default}"));
        }
    }
}

pub(super) fn steps(
    settings: &Settings,
    shapes: &[StepShape],
    has_checks: bool,
    findings: &mut Findings,
) -> Vec<ResolvedStep> {
    shapes.iter().enumerate().map(|(at, shape)| step(settings, (at, *shape), has_checks, findings)).collect()
}

fn step(
    settings: &Settings,
    (at, shape): (usize, StepShape),
    has_checks: bool,
    findings: &mut Findings,
) -> ResolvedStep {
    let dwell = shape.dwell;
    let judged = has_checks && dwell.0 > 0;
    let warmup = settings.warmup.unwrap_or(Span((dwell.0 / WARMUP_PART).min(WARMUP_MAX.0)));
    if has_checks && dwell.0 == 0 && shape.stable_planned() {
        findings.refuse(
            format!("steps[{at}].dwell"),
            "0 leaves no time to judge: write a dwell such as 5m (0 is for the step of 100 %)",
        );
    }
    if judged && warmup >= dwell {
        let message =
            format!("{warmup} leaves nothing to judge of step {at}, which runs {dwell}: write less than that");
        findings.refuse("warmup", message);
    }
    if judged && let Some(least) = settings.min_dwell.filter(|least| *least > dwell) {
        let message = format!("{least} is above the dwell of step {at}, {dwell}: write at most that");
        findings.refuse("min_dwell", message);
    }
    ResolvedStep {
        dwell,
        warmup: warmup.min(dwell),
        budget: settings.inconclusive_budget.unwrap_or(Span(dwell.0.saturating_mul(BUDGET_DWELLS))),
        min_dwell: settings.min_dwell,
        judged,
        share: shape.share,
    }
}
