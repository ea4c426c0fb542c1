//! What a policy must hold to, beyond each field being readable: the steps as a sequence, and the limits of the rollout's terms.
//!
//! What concerns judging (a dwell of 0 with checks, the same check twice, limits that make no sense) is the judge's to refuse.

use std::collections::BTreeMap;

use judge::Span;

use super::error::Problem;
use super::step::PolicyStep;
use super::{Lease, Policy};
use crate::plan::Strategy;
use crate::split::Share;

/// Shorter than this, one lost beat and the clocks of a fleet could end a lease.
const LEASE_MIN: Span = Span::from_secs(15);

/// Longer than this, a lease protects nobody.
const LEASE_MAX: Span = Span::from_secs(86_400);

/// The shortest deadline that can be met at all.
const LIMIT_MIN: Span = Span::from_secs(1);

/// Everything that the policy breaks.
pub(super) fn broken_by(policy: &Policy) -> Vec<Problem> {
    let mut problems = Vec::new();
    match policy.strategy() {
        Strategy::Canary => canary(policy, &mut problems),
        Strategy::Activate => activate(policy, &mut problems),
    }
    names(&policy.steps, &mut problems);
    for (at, step) in policy.steps.iter().enumerate() {
        if let Some(gate) = &step.gate {
            at_least(LIMIT_MIN, Some(gate.expires), &format!("steps[{at}].gate.expires"), &mut problems);
        }
    }
    terms(policy, &mut problems);
    problems
}

fn canary(policy: &Policy, problems: &mut Vec<Problem>) {
    let Some(last) = policy.steps.last() else {
        refuse(problems, "steps", "missing: write at least one step, the last one of 100 %, such as `- {split: 100}`");
        return;
    };
    if last.split.candidates() < Share::WHOLE {
        let at = policy.steps.len() - 1;
        let message = format!(
            "the last step gives the candidate {}: write a last step such as `- {{split: 100}}`",
            last.split.candidates()
        );
        refuse(problems, &format!("steps[{at}].split"), message);
    }
    let mut highest = Share::ZERO;
    for (at, step) in policy.steps.iter().enumerate() {
        share(step, highest, &format!("steps[{at}].split"), problems);
        highest = highest.max(step.split.candidates());
        if step.dwell.is_none() && step.split.candidates() < Share::WHOLE {
            refuse(
                problems,
                &format!("steps[{at}].dwell"),
                "missing: write how long the step is observed, such as `dwell: 30m`",
            );
        }
    }
}

fn share(step: &PolicyStep, before: Share, path: &str, problems: &mut Vec<Problem>) {
    let share = step.split.candidates();
    if step.split.shares().len() != 2 {
        let candidates = step.split.shares().len().saturating_sub(1);
        refuse(
            problems,
            path,
            format!(
                "{candidates} candidates: strategy canary has one so far, write its percent alone, such as `split: 5`"
            ),
        );
    } else if share == Share::ZERO {
        refuse(problems, path, "0 % sends the candidate nothing: write a share above 0, or leave the step out");
    } else if share < before {
        refuse(
            problems,
            path,
            format!(
                "{share} is less than the {before} before it: a candidate's share must never fall from step to step"
            ),
        );
    }
}

fn activate(policy: &Policy, problems: &mut Vec<Problem>) {
    if !policy.checks.is_empty() {
        refuse(problems, "checks", "strategy activate is not judged: leave `checks` out, or write `strategy: canary`");
    }
    if policy.steps.len() > 1 {
        refuse(
            problems,
            "steps[1]",
            "strategy activate has one step of 100 %: leave the steps out, or write `strategy: canary`",
        );
    } else if policy.steps.first().is_some_and(|step| step.split.candidates() < Share::WHOLE) {
        refuse(
            problems,
            "steps[0].split",
            "strategy activate gives the version everything: write `split: 100`, or leave the steps out",
        );
    }
}

fn names(steps: &[PolicyStep], problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        let Some(name) = &step.name else { continue };
        if let Some(first) = seen.get(name) {
            refuse(
                problems,
                &format!("steps[{at}].name"),
                format!("steps[{first}] has this name already: write another one"),
            );
        } else {
            seen.insert(name, at);
        }
    }
}

fn terms(policy: &Policy, problems: &mut Vec<Problem>) {
    let terms = &policy.terms;
    if let Some(Lease::For(lease)) = terms.lease
        && !(LEASE_MIN..=LEASE_MAX).contains(&lease)
    {
        refuse(problems, "lease", format!("{lease} is outside 15s to 24h: write `300s`, or `off`"));
    }
    at_least(LIMIT_MIN, terms.prepare_limit, "prepare_limit", problems);
    at_least(LIMIT_MIN, terms.pause_limit, "pause_limit", problems);
    let Some(smoke) = &terms.smoke else { return };
    if !smoke.path.starts_with('/') || smoke.path.chars().any(|letter| letter.is_control() || letter == ' ') {
        refuse(problems, "smoke.path", "no path under the upstream's address: write one such as `/predict`");
    }
    if smoke.method.is_empty() || !smoke.method.bytes().all(|letter| letter.is_ascii_uppercase()) {
        refuse(problems, "smoke.method", "no HTTP method: write one such as `POST`");
    }
    if smoke.status.is_some_and(|status| !(100..=599).contains(&status)) {
        refuse(problems, "smoke.status", "no HTTP status: write one from 100 to 599, or leave it out for any 2xx");
    }
}

fn at_least(least: Span, given: Option<Span>, path: &str, problems: &mut Vec<Problem>) {
    if let Some(given) = given.filter(|given| *given < least) {
        refuse(problems, path, format!("{given} is less than {least}: nothing could be done in time"));
    }
}

fn refuse(problems: &mut Vec<Problem>, path: &str, message: impl Into<String>) {
    problems.push(Problem::new(path, message, None));
}
