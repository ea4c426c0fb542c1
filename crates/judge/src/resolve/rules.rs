//! The rules of a check: which limits make sense for which metric.

use super::{Findings, counters};
use crate::check::{Check, Comparator, Floor, Limit, RuleName, RuleSet, Rules};
use crate::edges::LATENCY_EDGES_MS;
use crate::metric::Metric;
use crate::resolved::ResolvedRule;

/// Weights that people may mean; between more extreme ones nothing is left of the lighter.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// Guards the ceiling of `1/(1-q)` against rounding: 1/(1-0.95) is a little above 20.
const CEILING_SLACK: f64 = 1e-9;

pub(super) fn resolve(path: &str, check: &Check, kind: Option<&Metric>, findings: &mut Findings) -> Vec<ResolvedRule> {
    let mut rules: Vec<ResolvedRule> = Vec::new();
    for (at, set) in check.rules.sets().iter().enumerate() {
        let path = match &check.rules {
            Rules::One(_) => format!("{path}.rules"),
            Rules::List(_) => format!("{path}.rules[{at}]"),
        };
        let floor = floor(&path, set, findings);
        if set.weight.is_some_and(|weight| !WEIGHTS.contains(&weight)) {
            findings.refuse(format!("{path}.weight"), "a weight must be above 0, 0.001 to 1000: write 15");
        }
        if set.limits().next().is_none() {
            findings.refuse(path.clone(), "no limit: write one such as max_absolute: 0.05");
        }
        for (name, limit) in set.limits() {
            let path = format!("{path}.{}", name.as_str());
            if let Some(message) = refusal(name, limit, kind, check.query.is_some()) {
                findings.refuse(path, message);
                continue;
            }
            let rule = rule(check, name, limit, floor);
            if rules.iter().any(|known| (known.comparator, known.limit) == (rule.comparator, rule.limit)) {
                findings.refuse(path, "the same limit as another rule of this check: remove one");
            }
            rules.push(rule);
        }
    }
    if check.rules.sets().is_empty() {
        findings.refuse(format!("{path}.rules"), "no limit: write one such as [{gte: 0.10}]");
    }
    rules
}

/// Fewest samples from which a metric's value can be told at all; a quantile needs one beyond it.
pub(crate) fn fewest_samples(kind: &Metric) -> u64 {
    match kind {
        Metric::Quantile { percent, .. } => {
            let tail = f64::from(100_u8.saturating_sub(*percent).max(1)) / 100.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100")]
            let fewest = (1.0 / tail - CEILING_SLACK).ceil() as u64;
            fewest
        }
        Metric::Proportion { .. } | Metric::Mean { .. } | Metric::Rate { .. } | Metric::Gauge { .. } => 0,
    }
}

fn rule(check: &Check, name: RuleName, limit: &Limit, floor: Option<f64>) -> ResolvedRule {
    let comparator = name.comparator();
    let (failure_limit, failure_mode, failure_group) = counters::stated(check, comparator.is_relative());
    ResolvedRule {
        name,
        comparator,
        limit: limit.value,
        limit_text: limit.text.clone(),
        floor: floor.filter(|_| comparator == Comparator::RelativeIncrease),
        failure_limit,
        failure_mode,
        failure_group,
        counter: 0,
    }
}

fn floor(path: &str, set: &RuleSet, findings: &mut Findings) -> Option<f64> {
    let Some(Floor::At(floor)) = &set.floor else { return None };
    if !(floor.value.is_finite() && floor.value >= 0.0) {
        findings
            .refuse(format!("{path}.floor"), format!("{} is no value of 0 or more: write 0.001 or none", floor.text));
    }
    if set.max_relative_increase.is_none() {
        findings.note(path, "floor: without effect, for max_relative_increase only");
    }
    Some(floor.value)
}

fn refusal(name: RuleName, limit: &Limit, kind: Option<&Metric>, is_query: bool) -> Option<String> {
    let Limit { value, text } = limit;
    if !value.is_finite() {
        return Some(format!("{text} is no finite number"));
    }
    match name.comparator() {
        Comparator::RelativeIncrease => {
            (*value <= 1.0).then(|| format!("{text} is a factor of 1 or less: write 1.5 for +50 %"))
        }
        Comparator::RelativeDecrease => {
            (*value <= 0.0 || *value >= 1.0).then(|| format!("{text} is outside 0 to 1: write 0.1 for -10 %"))
        }
        _ => out_of_range(limit, kind?, is_query),
    }
}

fn out_of_range(limit: &Limit, kind: &Metric, is_query: bool) -> Option<String> {
    let Limit { value, text } = limit;
    match kind {
        Metric::Proportion { .. } => {
            (!(0.0..=1.0).contains(value)).then(|| format!("{text} is no share: write 0.05 for 5 %"))
        }
        Metric::Quantile { .. } if is_query => {
            (*value <= 0.0).then(|| format!("{text} is no size: write one in the unit of the buckets, such as 0.5"))
        }
        Metric::Quantile { .. } => {
            let (first, last) = (LATENCY_EDGES_MS.first()?, LATENCY_EDGES_MS.last()?);
            (!(*first..=*last).contains(value))
                .then(|| format!("{text} is outside the histogram, {first} to {last} milliseconds"))
        }
        Metric::Rate { .. } => {
            (*value < 0.0).then(|| format!("{text} is no number of events in a second: write one such as 0.01"))
        }
        Metric::Mean { .. } | Metric::Gauge { .. } => None,
    }
}
