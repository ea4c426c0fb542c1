//! Counters of failed rounds: one for each rule, or one for all rules of a failure group.

use std::collections::BTreeMap;

use super::Findings;
use crate::check::{Check, FailureMode, RuleSet};
use crate::resolved::{Counter, ResolvedCheck};

/// Failed rounds of an absolute rule; of a relative one.
const FAILURES: (u32, u32) = (1, 3);

/// Gives each rule its counter: its own, or the one of its group.
pub(super) fn assign(checks: &[Check], resolved: &mut [ResolvedCheck], findings: &mut Findings) -> Vec<Counter> {
    let groups = groups(checks, findings);
    let mut counters: Vec<Counter> = Vec::new();
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    for rule in resolved.iter_mut().flat_map(|check| check.rules.iter_mut()) {
        let next = u32::try_from(counters.len()).unwrap_or(u32::MAX);
        let group = rule.failure_group.as_ref().and_then(|name| Some((name, groups.get(name)?)));
        if let Some((name, counter)) = group {
            rule.counter = *known.entry(name.clone()).or_insert(next);
            (rule.failure_limit, rule.failure_mode) = (counter.limit, counter.mode);
        } else {
            rule.counter = next;
        }
        if rule.counter == next {
            counters.push(Counter { limit: rule.failure_limit, mode: rule.failure_mode });
        }
    }
    counters
}

/// The limit and mode of each group; its checks must not contradict each other.
fn groups(checks: &[Check], findings: &mut Findings) -> BTreeMap<String, Counter> {
    let mut groups: BTreeMap<String, (Option<u32>, Option<FailureMode>, u32)> = BTreeMap::new();
    for (at, check) in checks.iter().enumerate() {
        let Some(name) = &check.failure_group else { continue };
        let group = groups.entry(name.clone()).or_insert((None, None, FAILURES.0));
        let message = format!("not the same as in another check of group `{name}`: write one for all");
        if matches!((group.0, check.failure_limit), (Some(a), Some(b)) if a != b) {
            findings.refuse(format!("checks[{at}].failure_limit"), message.clone());
        }
        if matches!((group.1, check.failure_mode), (Some(a), Some(b)) if a != b) {
            findings.refuse(format!("checks[{at}].failure_mode"), message);
        }
        group.0 = group.0.or(check.failure_limit);
        group.1 = group.1.or(check.failure_mode);
        group.2 = group.2.max(default_failures(has_relative(check)));
    }
    let counter = |(limit, mode, default): (Option<u32>, Option<FailureMode>, u32)| Counter {
        limit: limit.unwrap_or(default),
        mode: mode.unwrap_or_default(),
    };
    groups.into_iter().map(|(name, group)| (name, counter(group))).collect()
}

fn has_relative(check: &Check) -> bool {
    check.rules.sets().iter().flat_map(RuleSet::limits).any(|(name, _)| name.comparator().is_relative())
}

/// Failed rounds that make a breach, where the policy does not say.
pub(super) const fn default_failures(is_relative: bool) -> u32 {
    if is_relative { FAILURES.1 } else { FAILURES.0 }
}

/// Limit, mode and group of a rule, before its counter is known.
pub(super) fn stated(check: &Check, is_relative: bool) -> (u32, FailureMode, Option<String>) {
    (
        check.failure_limit.unwrap_or(default_failures(is_relative)),
        check.failure_mode.unwrap_or_default(),
        check.failure_group.clone(),
    )
}
