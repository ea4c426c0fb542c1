//! The rows of one check: its rules, and the numbers that each is judged by.

use judge::check::{Check, Grader, Method, RuleSet, Rules};
use judge::sequential::plan::{Dispersed, Gate};
use judge::{Query, Resolved, ResolvedCheck, ResolvedRule};

use super::{Origin, Table, Written, word};
use crate::policy::check::PolicyCheck;

impl Written<'_, PolicyCheck> {
    /// Where the rules came from: they are one field.
    fn rules(&self) -> Origin {
        self.origin(|written| written.check.rules != Rules::default())
    }
}

pub(super) fn check_into(
    path: &str,
    written: &Written<'_, PolicyCheck>,
    (resolved, check, first): (&Resolved, &ResolvedCheck, usize),
    table: &mut Table,
) {
    let of_check = |is_given: fn(&Check) -> bool| written.origin(|written| is_given(&written.check));
    table.add(format!("{path}.metric"), &check.metric, of_check(|_| true));
    for (field, _, template) in check.query.iter().flat_map(Query::parts) {
        table.add(format!("{path}.query.{field}"), template, of_check(|check| check.query.is_some()));
    }
    for (at, rule) in check.rules.iter().enumerate() {
        let path = format!("{path}.rules[{at}]");
        table.add(format!("{path}.{}", rule.name.as_str()), &rule.limit_text, written.rules());
        match resolved.sequential.gates.iter().find(|gate| gate.rule == first + at) {
            Some(gate) => gate_into(&path, (written, at), (gate, resolved.alpha), table),
            None => rule_into(&path, written, rule, table),
        }
    }
    table.add(format!("{path}.method"), word(&check.method), of_check(|check| check.method.is_some()));
    let is_its_word = written.whole.check.action == check.action;
    let action_from = written.origin(|written| written.is_action_written && is_its_word);
    table.add(format!("{path}.action"), word(&check.action), action_from);
    if let Some(grader) = &written.whole.check.judged_by {
        table.add(format!("{path}.judged_by"), trusted(grader), of_check(|check| check.judged_by.is_some()));
    }
    let samples_from = written.origin(|written| written.check.min_samples == Some(check.min_samples));
    table.add(format!("{path}.min_samples"), check.min_samples, samples_from);
    if check.method == Method::Threshold {
        table.add(format!("{path}.interval"), check.interval, of_check(|check| check.interval.is_some()));
        table.add(format!("{path}.window"), word(&check.window), of_check(|check| check.window.is_some()));
    }
    table.add(format!("{path}.max_blind"), check.max_blind, of_check(|check| check.max_blind.is_some()));
}

fn rule_into(path: &str, written: &Written<'_, PolicyCheck>, rule: &ResolvedRule, table: &mut Table) {
    let of_check = |is_given: fn(&Check) -> bool| written.origin(|written| is_given(&written.check));
    if let Some(floor) = rule.floor {
        table.add(format!("{path}.floor"), floor, written.rules());
    }
    table.add(format!("{path}.failure_limit"), rule.failure_limit, of_check(|check| check.failure_limit.is_some()));
    table.add(format!("{path}.failure_mode"), word(&rule.failure_mode), of_check(|check| check.failure_mode.is_some()));
    if let Some(group) = &rule.failure_group {
        table.add(format!("{path}.failure_group"), group, of_check(|check| check.failure_group.is_some()));
    }
}

/// The numbers of a sequential rule: what is tolerated, and the odds at which it would be a breach by itself.
fn gate_into(
    path: &str,
    (written, at): (&Written<'_, PolicyCheck>, usize),
    (gate, alpha): (&Gate, f64),
    table: &mut Table,
) {
    let of_check = |is_given: fn(&Check) -> bool| written.origin(|written| is_given(&written.check));
    let rules = &written.whole.check.rules;
    let set = rules.sets().iter().flat_map(|set| set.limits().map(move |_| set)).nth(at);
    let of_rule = |is_given: fn(&RuleSet) -> bool| {
        if set.is_some_and(is_given) { written.rules() } else { Origin::Default }
    };
    if let Some(tolerance) = gate.tolerance {
        table.add(format!("{path}.tolerance"), rounded(tolerance), of_check(|check| check.sensitivity.is_some()));
    }
    if let Some(floor) = gate.floor {
        table.add(format!("{path}.floor"), floor, of_rule(|set| set.floor.is_some()));
    }
    if !gate.is_relative() {
        let attribution = if gate.attributed { "on" } else { "none" };
        table.add(format!("{path}.attribution"), attribution, of_rule(|set| set.attribution.is_some()));
    }
    table.add(format!("{path}.weight"), rounded(gate.weight), of_rule(|set| set.weight.is_some()));
    if gate.weight > 0.0 {
        table.add(format!("{path}.odds"), format!("{:.0}:1", 1.0 / (alpha * gate.weight)), Origin::Default);
    }
    let phi = match gate.phi {
        Dispersed::Stated(phi) | Dispersed::Assumed(phi) => rounded(phi),
        Dispersed::Estimated(_) => "estimated".to_owned(),
    };
    table.add(format!("{path}.phi"), phi, of_check(|check| check.phi.is_some()));
}

/// How far a model that judges can be trusted.
fn trusted(grader: &Grader) -> String {
    match (grader.agreement, grader.n) {
        (Some(agreement), Some(n)) => {
            format!("{}, agrees with people in {} % of {n}", grader.name, rounded(100.0 * agreement))
        }
        _ => format!("{}, not calibrated", grader.name),
    }
}

/// To six digits behind the point at most: what is computed from what people wrote has rounding in it.
pub(super) fn rounded(number: f64) -> String {
    ((number * 1e6).round() / 1e6).to_string()
}
