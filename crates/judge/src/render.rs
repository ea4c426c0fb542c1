//! Verdicts in sentences: one for every rule whose limit is broken, in the words of JUDGE section 14.

use crate::check::limit::shortest;
use crate::check::{Action, Comparator};
use crate::resolved::Resolved;
use crate::verdict::{CheckResult, Comparison, Decision, Failures, Outcome, Verdict};

/// Below this size three decimals say too little.
const SMALL: f64 = 0.001;

/// The issues of a verdict: every rule that broke its limit in the last round. If none did and it is a breach still, because failed
/// rounds add up, one sentence says so.
#[must_use]
pub fn render(resolved: &Resolved, verdict: &Verdict) -> Vec<String> {
    let issues: Vec<String> =
        broken(verdict).map(|(check, value)| issue(check, value, &limit_text(resolved, check))).collect();
    if !issues.is_empty() {
        return issues;
    }
    let mut standing = verdict.checks.iter().filter(|check| check.result == Outcome::Breach).peekable();
    let Some(Failures { count, limit, .. }) = standing.peek().map(|check| check.failures) else { return issues };
    let metrics: Vec<&str> = standing.map(|check| check.metric.as_str()).collect();
    vec![format!("{count} failed rounds, limit {limit}: {}", metrics.join(", "))]
}

/// Of the issues of a verdict, as [`render()`] gave them, the one that its action rests on: of the first check that counts, has the
/// verdict's result and, in breach, asks for its action. A check that only holds, or reports, is no reason for a retreat.
#[must_use]
pub fn deciding<'a>(verdict: &Verdict, issues: &'a [String]) -> Option<&'a str> {
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

fn issue(check: &CheckResult, value: f64, limit: &str) -> String {
    let metric = &check.metric;
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
