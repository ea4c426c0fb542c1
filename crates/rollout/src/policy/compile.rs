//! From a policy to its plan: defaults filled in, and said.

use judge::settings::StepShape;
use judge::{Resolved, Span};

use super::error::Problem;
use super::step::PolicyStep;
use super::{Lease, Policy, Terms, laws};
use crate::name::PolicyName;
use crate::plan::{Plan, Step, Strategy};
use crate::split::{Share, Split, WHOLE};

/// What a policy without a name is called.
const UNNAMED: &str = "unnamed";

/// The name of the built-in policy for a first version and for the way back.
const ACTIVATE: &str = "activate";

const LEASE: Span = Span::from_secs(300);
const PREPARE_LIMIT: Span = Span::from_secs(600);
const PAUSE_LIMIT: Span = Span::from_secs(72 * 3600);

/// Below this share, `split` may have been meant as a fraction.
const SUSPICIOUS: u32 = 100;

impl Plan {
    /// The built-in plan `activate`: one step of 100 %, not judged, with the default lease.
    #[must_use]
    pub fn activate() -> Self {
        let policy = Policy {
            name: Some(literal(ACTIVATE)),
            class: None,
            strategy: Some(Strategy::Activate),
            steps: Vec::new(),
            checks: Vec::new(),
            settings: judge::Settings::default(),
            terms: Terms::default(),
        };
        plan_of(
            &policy,
            &judge::resolve(&[], &policy.settings, &shapes(&policy)).expect("defaults are within their limits"),
        )
    }
}

/// The plan, or everything that keeps it from working.
pub(super) fn compile(policy: &Policy) -> Result<Plan, Vec<Problem>> {
    let mut problems = laws::broken_by(policy);
    // Where checks are refused as a whole, what is wrong with each of them is beside the point.
    let checks = if policy.strategy() == Strategy::Activate { [].as_slice() } else { &policy.checks };
    let checks: Vec<_> = checks.iter().map(|written| written.check.clone()).collect();
    match judge::resolve(&checks, &policy.settings, &shapes(policy)) {
        Ok(resolved) if problems.is_empty() => Ok(plan_of(policy, &resolved)),
        Ok(_) => Err(problems),
        Err(found) => {
            let known: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
            let fresh = found.into_iter().filter(|problem| !known.contains(&problem.path));
            problems.extend(fresh.map(|problem| Problem::new(problem.path, problem.message, None)));
            Err(problems)
        }
    }
}

/// The steps that apply: those written, or the one that strategy activate stands for.
pub(super) fn steps_of(policy: &Policy) -> Vec<PolicyStep> {
    if policy.strategy() == Strategy::Activate && policy.steps.is_empty() {
        return vec![PolicyStep { name: None, split: Split::candidate(Share::WHOLE), dwell: None, gate: None }];
    }
    policy.steps.clone()
}

fn shapes(policy: &Policy) -> Vec<StepShape> {
    let shape = |step: PolicyStep| StepShape {
        dwell: step.dwell.unwrap_or_default(),
        share: f64::from(step.split.candidates().basis_points()) / f64::from(WHOLE),
    };
    steps_of(policy).into_iter().map(shape).collect()
}

fn plan_of(policy: &Policy, resolved: &Resolved) -> Plan {
    let terms = &policy.terms;
    let steps = steps_of(policy).into_iter().zip(&resolved.steps).map(|(step, judging)| Step {
        name: step.name.clone().unwrap_or_else(|| step.default_name()),
        split: step.split,
        dwell: judging.dwell,
        gate: step.gate,
        judged: judging.judged,
        budget: if judging.judged { judging.budget } else { Span::default() },
    });
    Plan {
        policy: policy.name.clone().unwrap_or_else(|| literal(UNNAMED)),
        strategy: policy.strategy(),
        steps: steps.collect(),
        checks: (!policy.checks.is_empty()).then(|| resolved.clone()),
        bake: terms.bake.unwrap_or_default(),
        lease: match terms.lease {
            None => Some(LEASE),
            Some(Lease::For(lease)) => Some(lease),
            Some(Lease::Off) => None,
        },
        on_lease_expired: terms.on_lease_expired.unwrap_or_default(),
        prepare_limit: terms.prepare_limit.unwrap_or(PREPARE_LIMIT),
        pause_limit: terms.pause_limit.unwrap_or(PAUSE_LIMIT),
        when_live: terms.when_live.unwrap_or_default(),
        on_drift: terms.on_drift.unwrap_or_default(),
        keep_cohort: terms.keep_cohort.unwrap_or_default(),
        page_resolve: terms.page_resolve.unwrap_or_default(),
        smoke: terms.smoke.clone(),
        notes: notes(policy, resolved),
    }
}

/// What was chosen for the writer and might surprise, in words. Each number with its origin is in [`Policy::table`].
fn notes(policy: &Policy, resolved: &Resolved) -> Vec<String> {
    let mut notes = Vec::new();
    if policy.name.is_none() {
        notes.push(format!("name: {UNNAMED} (none given)"));
    }
    if policy.strategy() == Strategy::Canary && policy.checks.is_empty() {
        notes.push("checks: none, so nothing is judged: each step runs its dwell and the next one follows".to_owned());
    }
    if policy.checks.is_empty() && policy.settings != judge::Settings::default() {
        notes.push("checks: none, so the fields about judging are without effect".to_owned());
    }
    if policy.terms.lease == Some(Lease::Off) {
        notes.push("lease: off, so a candidate keeps its traffic while nobody can take it back: with the control part dead, for ever".to_owned());
    }
    for (at, step) in policy.steps.iter().enumerate() {
        let share = step.split.candidates();
        if share.basis_points() < SUSPICIOUS {
            let fraction = share.percent();
            notes.push(format!("steps[{at}].split: {share} of the traffic (if the fraction {fraction} was meant: write `weight: {fraction}`)"));
        }
    }
    notes.extend(resolved.notes.iter().cloned());
    notes
}

fn literal(name: &'static str) -> PolicyName {
    PolicyName::new(name).expect("a name in this file follows the grammar")
}
