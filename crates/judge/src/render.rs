//! Verdicts in sentences: one for every rule whose limit is broken, in the words of JUDGE section 14, and what the evidence of a
//! sequential rule is worth.

use crate::check::limit::shortest;
use crate::check::{Action, Comparator};
use crate::resolved::Resolved;
use crate::sequential::interval::Interval;
use crate::verdict::{
    CheckResult, Comparison, Decision, Failures, GateEvidence, Outcome, Reason, SplitEvidence, Verdict,
};

/// Below this size three decimals say too little.
const SMALL: f64 = 0.001;

/// The evidence of a sequential rule in a sentence; none for a threshold.
#[must_use]
pub fn evidence(check: &CheckResult) -> Option<String> {
    let found = check.evidence.as_ref()?;
    let line = match (check.tolerance, sign(check.comparator)) {
        (Some(tolerance), _) => {
            let direction = if check.comparator.fears_decrease() { "below" } else { "above" };
            // Once degraded, only what is beyond the limit counts.
            let line = if check.result == Outcome::Degraded { limit_factor(check) } else { tolerance };
            format!("{direction} {}x stable", shortest_of(line))
        }
        (None, Some(sign)) => format!("{sign} {}", shortest(check.limit)),
        (None, None) => shortest(check.limit),
    };
    let now = match (&found.interval, check.ratio, check.value) {
        (Some(Interval { ratio, lower, upper }), _, _) => format!(" (now {ratio:.1}x, {lower:.1} to {upper:.1}x)"),
        (None, Some(ratio), _) if check.tolerance.is_some() => format!(" (now {ratio:.2}x)"),
        (None, _, Some(value)) => format!(" (now {})", number(value)),
        (None, _, None) => String::new(),
    };
    let last = if check.tolerance.is_some() {
        format!("; limit {}x", shortest_of(limit_factor(check)))
    } else {
        String::new()
    };
    let needed =
        if found.odds_needed < f64::MAX { format!("; enough at {}", odds(found.odds_needed)) } else { String::new() };
    Some(format!("evidence {} that {} is {line}{now}{last}{needed}", odds(found.odds), check.metric))
}

/// What a sequential rule still needs to be proved healthy, in a sentence; none if it is, or is a threshold.
#[must_use]
pub fn outlook(check: &CheckResult) -> Option<String> {
    let found = check.evidence.as_ref()?;
    if found.accepted >= found.accept_needed || check.result == Outcome::NotApplicable {
        return None;
    }
    let proof = format!("proof of health {} of {}", odds(found.accepted), odds(found.accept_needed));
    Some(match found.samples_needed {
        Some(samples) => format!("{proof}: about {samples} more samples of the candidate, if it is as good as stable"),
        None => proof,
    })
}

/// The limit of a relative rule as a factor on stable.
fn limit_factor(check: &CheckResult) -> f64 {
    if check.comparator.fears_decrease() { 1.0 - check.limit } else { check.limit }
}

/// Odds against what is tested.
fn odds(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{value:.0e}:1"),
        value if value >= 10.0 => format!("{value:.0}:1"),
        value if value >= 0.1 => format!("{value:.1}:1"),
        _ => "below 0.1:1".to_owned(),
    }
}

/// A factor without the rounding of its computation.
fn shortest_of(factor: f64) -> String {
    shortest((factor * 1e6).round() / 1e6)
}

/// The issues of a verdict: every rule that broke its limit in the last round. If none did and it is a breach still, because failed
/// rounds add up, one sentence says so.
#[must_use]
pub fn render(resolved: &Resolved, verdict: &Verdict) -> Vec<String> {
    let mut issues: Vec<String> =
        broken(verdict).map(|(check, value)| issue(check, value, &limit_text(resolved, check))).collect();
    issues.extend(verdict.split.filter(|_| verdict.reason == Some(Reason::SplitDrift)).map(drift));
    if !issues.is_empty() {
        return issues;
    }
    let mut standing = verdict.checks.iter().filter(|check| check.result == Outcome::Breach).peekable();
    let Some(Failures { count, limit, .. }) = standing.peek().map(|check| check.failures) else { return issues };
    if let Some(found) = standing.peek().and_then(|check| Some((&check.metric, check.evidence.as_ref()?))) {
        return vec![earlier(found.0, found.1)];
    }
    let metrics: Vec<&str> = standing.map(|check| check.metric.as_str()).collect();
    vec![format!("{count} failed rounds, limit {limit}: {}", metrics.join(", "))]
}

/// Users are not where they should be, in a sentence.
fn drift(split: SplitEvidence) -> String {
    let percent = |points: u32| shortest(f64::from(points) / 100.0);
    let (observed, expected) = (percent(split.observed_bp), percent(split.expected_bp));
    format!(
        "{observed} % of new sessions get the candidate and not {expected} %: evidence {}",
        odds(libm::exp(split.ln_e))
    )
}

/// Of the issues of a verdict, as [`render()`] gave them, the one that its action rests on: of the first check that counts, has the
/// verdict's result and, in breach, asks for its action. A check that only holds, or reports, is no reason for a retreat.
#[must_use]
pub fn deciding<'a>(verdict: &Verdict, issues: &'a [String]) -> Option<&'a str> {
    if verdict.reason == Some(Reason::SplitDrift) {
        return issues.last().map(String::as_str);
    }
    let at = if broken(verdict).next().is_some() {
        broken(verdict).position(|(check, _)| decides(check, verdict))
    } else {
        verdict.checks.iter().any(|check| decides(check, verdict)).then_some(0)
    };
    issues.get(at?).map(String::as_str)
}

fn decides(check: &CheckResult, verdict: &Verdict) -> bool {
    if check.result != verdict.result || check.action == Action::Report {
        return false;
    }
    let asks = matches!(
        (check.action, verdict.action),
        (Action::Rollback, Decision::Rollback) | (Action::Gate, Decision::Gate) | (Action::Hold, Decision::Hold)
    );
    asks || check.result != Outcome::Breach
}

/// The rules that broke their limit in the last round, with their values.
fn broken(verdict: &Verdict) -> impl Iterator<Item = (&CheckResult, f64)> {
    verdict.checks.iter().filter(|check| check.breached).filter_map(|check| Some((check, check.value?)))
}

/// Of evidence over the whole rollout, when the present step does not show it.
fn earlier(metric: &str, found: &GateEvidence) -> String {
    format!("{metric}: evidence {} over the rollout", odds(found.odds))
}

/// Whether the step by itself is on the wrong side.
fn shows(check: &CheckResult, value: f64) -> bool {
    let line = if check.comparator.is_relative() { check.stable_value.unwrap_or(0.0) } else { check.limit };
    if check.comparator.fears_decrease() { value <= line } else { value >= line }
}

fn issue(check: &CheckResult, value: f64, limit: &str) -> String {
    let metric = &check.metric;
    if let Some(found) = check.evidence.as_ref().filter(|_| !shows(check, value)) {
        return earlier(metric, found);
    }
    if let Some(sign) = sign(check.comparator) {
        let direction = if check.comparator.fears_decrease() { "low" } else { "high" };
        return format!("{metric} too {direction}: {} {sign} {limit}", number(value));
    }
    let stable = check.stable_value.unwrap_or(0.0);
    let other = if check.comparison == Comparison::Baseline { "baseline" } else { "stable" };
    if stable <= 0.0 {
        return format!("{metric} increased from 0 to {} vs {other}", number(value));
    }
    if check.comparator.fears_decrease() {
        return format!("{metric} decreased {:.1}% vs {other}", 100.0 * (1.0 - value / stable));
    }
    format!("{metric} increased {:.1}x vs {other}", value / stable)
}

const fn sign(comparator: Comparator) -> Option<&'static str> {
    match comparator {
        Comparator::Gt => Some(">"),
        Comparator::Gte => Some(">="),
        Comparator::Lt => Some("<"),
        Comparator::Lte => Some("<="),
        Comparator::RelativeIncrease | Comparator::RelativeDecrease => None,
    }
}

fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < SMALL { format!("{value:.2e}") } else { format!("{value:.3}") }
}

/// The limit as the policy wrote it.
fn limit_text(resolved: &Resolved, check: &CheckResult) -> String {
    let written = resolved
        .rules()
        .find(|(at, _, rule)| {
            u32::try_from(*at) == Ok(check.check)
                && (rule.name, rule.limit.to_bits()) == (check.rule, check.limit.to_bits())
        })
        .map(|(_, _, rule)| rule.limit_text.clone());
    written.unwrap_or_else(|| shortest(check.limit))
}
