//! From a policy as written to [`Resolved`]: every number filled in, every problem found at once.
//!
//! A problem names the field and says what to write. What has no effect or was filled in for a reason is noted, not refused.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::resolved::Resolved;
use crate::settings::{Settings, StepShape};
use crate::slo;

mod checks;
mod counters;
mod gates;
mod plan;
mod queries;
mod rules;

#[cfg(test)]
pub(crate) use rules::fewest_samples;

/// One reason why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The field, such as `checks[1].rules.max_relative_increase`.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
}

/// Fills in every number of a policy.
///
/// # Errors
/// All problems of the policy at once.
pub fn resolve(checks: &[Check], settings: &Settings, steps: &[StepShape]) -> Result<Resolved, Vec<Problem>> {
    let mut findings = Findings::default();
    let tick = plan::tick(settings, &mut findings);
    plan::probabilities(settings, &mut findings);
    let steps = plan::steps(settings, steps, !checks.is_empty(), &mut findings);
    let baseline = settings.baseline.unwrap_or_default();
    let written = checks;
    let (checks, counters) = checks::resolve(written, baseline, &mut findings);
    let slos = settings.slos.as_deref().unwrap_or_default();
    let slos = slo::resolve(slos, &checks, !written.is_empty()).unwrap_or_else(|problems| {
        problems.into_iter().for_each(|(path, message)| findings.refuse(path, message));
        Vec::new()
    });
    if findings.problems.is_empty() {
        gates::negative(written, &checks, &mut findings);
    }
    if !findings.problems.is_empty() {
        return Err(findings.problems);
    }
    let sequential = gates::plan(written, &checks, tick, &mut findings);
    Ok(Resolved {
        checks,
        counters,
        sequential,
        steps,
        tick,
        alpha: settings.alpha.unwrap_or(plan::ALPHA),
        beta: settings.beta.unwrap_or(plan::BETA),
        on_inconclusive: settings.on_inconclusive.unwrap_or_default(),
        on_degraded: settings.on_degraded.unwrap_or_default(),
        baseline,
        slos,
        retries_per_day: settings.retries_per_day.unwrap_or(plan::RETRIES_PER_DAY),
        notes: findings.notes,
    })
}

/// What is found on the way.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Findings {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into() });
    }

    fn note(&mut self, path: &str, sentence: &str) {
        self.notes.push(format!("{path}: {sentence}"));
    }
}

#[cfg(test)]
mod tests;
