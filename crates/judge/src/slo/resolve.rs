//! Objectives as written, with what they leave open filled in.

use super::{HOUR, MINUTE, Objective, Slo};
use crate::metric::Metric;
use crate::resolved::ResolvedCheck;
use crate::span::Span;

const WINDOW: Span = Span::from_secs(HOUR);
const WINDOW_MIN: Span = Span::from_secs(MINUTE);
const WINDOW_MAX: Span = Span::from_secs(24 * HOUR);

/// Most objectives of a policy.
const SLOS_MAX: usize = 20;

/// The objectives of a policy, beside its checks. Each problem is a field and a sentence.
pub(crate) fn resolve(
    slos: &[Slo],
    checks: &[ResolvedCheck],
    is_judged: bool,
) -> Result<Vec<Objective>, Vec<(String, String)>> {
    let mut problems = Vec::new();
    if !slos.is_empty() && !is_judged {
        problems.push((
            "slos".to_owned(),
            "without checks nothing is counted: write one, at least with `action: report`".to_owned(),
        ));
    }
    if slos.len() > SLOS_MAX {
        problems.push(("slos".to_owned(), format!("{} objectives: a policy has at most {SLOS_MAX}", slos.len())));
    }
    let mut objectives: Vec<Objective> = Vec::new();
    for (at, slo) in slos.iter().enumerate() {
        match one(slo, checks) {
            Ok(objective) if objectives.iter().any(|known| known.metric == objective.metric) => {
                problems
                    .push((format!("slos[{at}].metric"), "an earlier objective is about it: remove one".to_owned()));
            }
            Ok(objective) => objectives.push(objective),
            Err((field, sentence)) => problems.push((format!("slos[{at}].{field}"), sentence)),
        }
    }
    if problems.is_empty() { Ok(objectives) } else { Err(problems) }
}

fn one(slo: &Slo, checks: &[ResolvedCheck]) -> Result<Objective, (&'static str, String)> {
    // A metric that a check asks a query about is that one.
    let asked = checks.iter().find(|check| check.metric == slo.metric).map(|check| check.kind.clone());
    let kind = asked.map_or_else(|| Metric::parse(&slo.metric), Ok).map_err(|why| ("metric", why))?;
    let (target, is_least) = match (slo.min, slo.max) {
        (Some(least), None) => (least, true),
        (None, Some(most)) => (most, false),
        (Some(_), Some(_)) => return Err(("max", "an objective has one target: write `min` or `max`".to_owned())),
        (None, None) => {
            return Err((
                "max",
                "missing: write the most, such as `max: 2000`, or the least, such as `min: 0.95`".to_owned(),
            ));
        }
    };
    let left = left_by(&kind, target, is_least)?;
    let budget = slo.budget.unwrap_or(left);
    let is_of_events = !matches!(kind, Metric::Mean { .. });
    if slo.budget.is_some() && !is_of_events {
        return Err(("budget", "a mean has no bad events, its target is its budget: leave it out".to_owned()));
    }
    if !(budget > 0.0 && budget <= 1.0) {
        return Err((
            "budget",
            format!("{budget} is outside (0, 1]: write the share of events that may be bad, such as 0.05"),
        ));
    }
    let window = slo.window.unwrap_or(WINDOW);
    if !(WINDOW_MIN..=WINDOW_MAX).contains(&window) {
        return Err(("window", format!("{window} is outside {WINDOW_MIN} to {WINDOW_MAX}: write {WINDOW}")));
    }
    Ok(Objective { metric: slo.metric.clone(), kind, target, is_least, window, budget })
}

/// The share of bad events that a target leaves.
fn left_by(kind: &Metric, target: f64, is_least: bool) -> Result<f64, (&'static str, String)> {
    let field = if is_least { "min" } else { "max" };
    match kind {
        Metric::Proportion { .. } if target > 0.0 && target < 1.0 => Ok(if is_least { 1.0 - target } else { target }),
        Metric::Proportion { .. } => {
            Err((field, format!("{target} is no share that can be missed: write one between 0 and 1")))
        }
        Metric::Quantile { .. } if is_least => Err(("min", "no user minds a quick answer: write `max`".to_owned())),
        Metric::Quantile { percent, .. } if target > 0.0 && target.is_finite() => Ok(1.0 - f64::from(*percent) / 100.0),
        Metric::Mean { .. } if target > 0.0 && target.is_finite() => Ok(1.0),
        Metric::Rate { .. } => Err((
            "metric",
            "events by the second are no share of anything: write an objective on a share, a quantile or a mean"
                .to_owned(),
        )),
        Metric::Gauge { .. } => Err((
            "metric",
            "one number has no events to count: write an objective on a share, a quantile or a mean".to_owned(),
        )),
        _ => Err((field, format!("{target} is no target: write a number above 0"))),
    }
}
