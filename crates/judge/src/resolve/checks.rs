//! The checks: defaults, fields of the sequential method, and duplicates.

use super::{Findings, counters, gates, queries, rules};
use crate::check::{Action, Check, Limit, Method, Phi, Window};
use crate::metric::Metric;
use crate::resolved::{Counter, ResolvedCheck};
use crate::settings::Baseline;
use crate::span::Span;

/// Most rules in a policy: the state is stored at each tick and must stay small.
const RULES_MAX: usize = 64;

/// Longest name of a failure group, in bytes.
const GROUP_BYTES_MAX: usize = 63;

const GAUGE: &str =
    "gauge has no sample size, give numerator and denominator (`bad` or `good`, and `total`), or write `threshold`";

/// The largest bound of a mean: squares of more would leave what a float can hold.
const BOUND_MAX: f64 = 1e12;

const MIN_SAMPLES: u64 = 50;
const INTERVAL: Span = Span::from_secs(60);
const WINDOW: Span = Span::from_secs(300);
const MAX_BLIND: Span = Span::from_secs(120);

/// Judged items are few and come late.
const MAX_BLIND_JUDGED: Span = Span::from_secs(1800);

pub(super) fn resolve(
    checks: &[Check],
    baseline: Baseline,
    findings: &mut Findings,
) -> (Vec<ResolvedCheck>, Vec<Counter>) {
    let mut resolved: Vec<ResolvedCheck> = Vec::new();
    for (at, check) in checks.iter().enumerate() {
        let path = format!("checks[{at}]");
        let Some(next) = one(&path, check, baseline, findings) else { continue };
        if let Some(twin) = resolved.iter().position(|known| is_same(known, &next)) {
            findings.refuse(path, format!("the same metric and rules as an earlier check ({twin}): remove one"));
        } else if resolved.iter().any(|known| known.metric == next.metric && known.query != next.query) {
            findings.refuse(
                format!("{path}.metric"),
                "another check of this name has another query: give one another name",
            );
        }
        resolved.push(next);
    }
    if resolved.iter().map(|check| check.rules.len()).sum::<usize>() > RULES_MAX {
        findings.refuse("checks", format!("more than {RULES_MAX} rules: split the policy"));
    }
    let is_told_only = |check: &ResolvedCheck| check.action == Action::Report;
    if let Some(at) = checks.iter().position(|check| check.action != Action::Report)
        && resolved.len() == checks.len()
        && resolved.iter().all(is_told_only)
    {
        let sentence =
            "without both numbers nothing of this policy is judged: write `agreement` and `n`, or `action: report`";
        findings.refuse(format!("checks[{at}].judged_by"), sentence);
    }
    let counters = counters::assign(checks, &mut resolved, findings);
    (resolved, counters)
}

fn one(path: &str, check: &Check, baseline: Baseline, findings: &mut Findings) -> Option<ResolvedCheck> {
    let kind = queries::kind(path, check, findings);
    let method = method(path, check, kind.as_ref(), findings);
    modifiers(path, check, method, findings);
    let rules = rules::resolve(path, check, kind.as_ref(), findings);
    for (name, span) in [("interval", check.interval), ("max_blind", check.max_blind), ("window", last(check.window))] {
        if span.is_some_and(|span| span.0 == 0) {
            findings.refuse(format!("{path}.{name}"), "0 is no time: write 60s");
        }
    }
    let kind = kind?;
    let asked = check.min_samples.unwrap_or(MIN_SAMPLES);
    let min_samples = asked.max(rules::fewest_samples(&kind));
    if min_samples > asked {
        let sentence = format!("min_samples: {min_samples} ({asked} are too few to tell this quantile)");
        findings.note(path, &sentence);
    }
    let max_blind = check.max_blind.unwrap_or(if kind.is_judged() { MAX_BLIND_JUDGED } else { MAX_BLIND });
    Some(ResolvedCheck {
        metric: check.metric.clone(),
        kind,
        query: check.query.clone(),
        rules,
        method,
        action: action(path, check, findings),
        min_samples,
        interval: check.interval.unwrap_or(INTERVAL),
        window: check.window.unwrap_or(Window::Last(WINDOW)),
        max_blind,
        baseline: check.baseline.unwrap_or(baseline),
    })
}

/// What a breach leads to: nothing where nobody knows whether the one who judges the items can be trusted.
fn action(path: &str, check: &Check, findings: &mut Findings) -> Action {
    let Some(grader) = &check.judged_by else { return check.action };
    if grader.name.trim().is_empty() || grader.name.len() > GROUP_BYTES_MAX {
        findings.refuse(format!("{path}.judged_by.name"), format!("write a name of 1 to {GROUP_BYTES_MAX} letters"));
    }
    if grader.agreement.is_some_and(|agreement| !(agreement > 0.0 && agreement <= 1.0)) {
        findings.refuse(format!("{path}.judged_by.agreement"), "no share of items: write one such as 0.87");
    }
    if grader.n == Some(0) {
        findings
            .refuse(format!("{path}.judged_by.n"), "0 items calibrate nothing: write how many people have judged too");
    }
    if grader.is_calibrated() || check.action == Action::Report {
        return check.action;
    }
    let missing = if grader.agreement.is_none() { "agreement" } else { "n" };
    let sentence = format!(
        "action: report (nobody knows how far `{}` can be trusted: `judged_by` lacks `{missing}`)",
        grader.name
    );
    findings.note(path, &sentence);
    Action::Report
}

/// How a check is judged: as it says, else by the sequential method wherever that can be.
fn method(path: &str, check: &Check, kind: Option<&Metric>, findings: &mut Findings) -> Method {
    let is_gauge = check.query.as_ref().is_some_and(|query| query.value.is_some());
    match check.method {
        Some(Method::Threshold) => Method::Threshold,
        Some(Method::Sequential) => {
            if is_gauge {
                findings.refuse(format!("{path}.method"), GAUGE);
            } else if let Some(kind) = kind {
                gates::refusals(path, check, kind, findings);
            }
            Method::Sequential
        }
        None => {
            let why = if is_gauge {
                Some("one number has no sample size".to_owned())
            } else {
                kind.and_then(|kind| gates::obstacle(check, kind))
            };
            match why {
                Some(why) => {
                    findings.note(path, &format!("method: threshold ({why})"));
                    Method::Threshold
                }
                None => Method::Sequential,
            }
        }
    }
}

/// Fields of one method: checked, and noted where they have no effect.
fn modifiers(path: &str, check: &Check, method: Method, findings: &mut Findings) {
    if let Some(sensitivity) = check.sensitivity
        && !(0.0..=1.0).contains(&sensitivity)
    {
        findings.refuse(format!("{path}.sensitivity"), format!("{sensitivity} is outside 0 to 1: write 0.15"));
    }
    if let Some(Phi::Fixed(phi)) = check.phi
        && !(phi >= 1.0 && phi.is_finite())
    {
        findings.refuse(format!("{path}.phi"), format!("{phi} is below 1 or no number: write `auto` or 1"));
    }
    for (name, bound) in [("lo", &check.lo), ("hi", &check.hi)] {
        if bound.as_ref().is_some_and(|bound| bound.value.is_nan() || bound.value.abs() > BOUND_MAX) {
            findings.refuse(format!("{path}.{name}"), "a bound must be a number of at most 1e12 in size");
        }
    }
    if let (Some(Limit { value: lo, .. }), Some(Limit { value: hi, .. })) = (&check.lo, &check.hi)
        && lo >= hi
    {
        findings.refuse(format!("{path}.hi"), format!("{hi} is not above lo, {lo}"));
    }
    if check.failure_limit == Some(0) {
        findings.refuse(format!("{path}.failure_limit"), "0 rounds cannot fail: write 1");
    }
    if check.failure_group.as_ref().is_some_and(|group| group.is_empty() || group.len() > GROUP_BYTES_MAX) {
        findings.refuse(format!("{path}.failure_group"), format!("write a name of 1 to {GROUP_BYTES_MAX} letters"));
    }
    let sets = check.rules.sets();
    if method == Method::Sequential {
        if sets.iter().any(|set| set.twin.is_some()) {
            findings.note(path, "twin: without effect, it is not available yet");
        }
        return;
    }
    let idle = [
        ("sensitivity", check.sensitivity.is_some()),
        ("phi", check.phi.is_some()),
        ("lo and hi", check.lo.is_some() || check.hi.is_some()),
        ("weight", sets.iter().any(|set| set.weight.is_some())),
        ("attribution", sets.iter().any(|set| set.attribution.is_some())),
        ("twin", sets.iter().any(|set| set.twin.is_some())),
    ];
    for (name, _) in idle.iter().filter(|(_, given)| *given) {
        findings.note(path, &format!("{name}: without effect, for the sequential method only"));
    }
}

fn last(window: Option<Window>) -> Option<Span> {
    match window? {
        Window::Last(span) => Some(span),
        Window::Step => None,
    }
}

fn is_same(a: &ResolvedCheck, b: &ResolvedCheck) -> bool {
    let essence = |check: &ResolvedCheck| {
        let mut rules: Vec<_> = check
            .rules
            .iter()
            .map(|rule| (rule.comparator, rule.limit.to_bits(), rule.floor.map(f64::to_bits)))
            .collect();
        rules.sort_unstable();
        rules
    };
    a.metric == b.metric && essence(a) == essence(b)
}
