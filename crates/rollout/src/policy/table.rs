//! Every value that applies, and where it came from: what `tidegate lint --resolved` prints.

use std::fmt;

use judge::check::{Check, Method};
use judge::sequential::plan::{Dispersed, Gate as Evidence};
use judge::{Query, Resolved, ResolvedCheck, ResolvedRule};
use serde::Serialize;

use super::check::PolicyCheck;
use super::compile::steps_of;
use super::{Policy, PolicyError};
use crate::plan::{Gate, Plan, Smoke, Step};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is written in the policy.
    Policy,
    /// Nobody wrote it.
    Default,
    /// The strategy leaves no choice.
    Strategy,
}

/// One value that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The field, such as `steps[0].dwell`.
    pub what: String,
    /// Its value, as a policy would write it.
    pub value: String,
    /// Where it came from.
    pub from: Origin,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Default => "default",
            Self::Strategy => "strategy",
        })
    }
}

impl Policy {
    /// Every value that applies, in the order in which a policy is written.
    ///
    /// # Errors
    /// As [`Policy::plan`].
    pub fn table(&self) -> Result<Vec<Row>, PolicyError> {
        let plan = self.plan()?;
        let mut table = Table::default();
        table.add("name", &plan.policy, given(&self.name));
        table.add("strategy", word(&plan.strategy), given(&self.strategy));
        self.steps_into(&plan, &mut table);
        if let Some(resolved) = &plan.checks {
            let mut first = 0;
            for (at, (written, check)) in self.checks.iter().zip(&resolved.checks).enumerate() {
                check_into(&format!("checks[{at}]"), written, (resolved, check, first), &mut table);
                first += check.rules.len();
                let baseline_from = given(&written.check.baseline.or(self.settings.baseline));
                table.add(format!("checks[{at}].baseline"), word(&check.baseline), baseline_from);
            }
            self.judging_into(resolved, &mut table);
        }
        self.terms_into(&plan, &mut table);
        Ok(table.0)
    }

    fn steps_into(&self, plan: &Plan, table: &mut Table) {
        for (at, (written, step)) in steps_of(self).iter().zip(&plan.steps).enumerate() {
            let path = format!("steps[{at}]");
            let is_written = self.steps.get(at).is_some();
            table.add(format!("{path}.name"), &step.name, given(&written.name));
            table.add(
                format!("{path}.split"),
                shares(step),
                if is_written { Origin::Policy } else { Origin::Strategy },
            );
            let dwell_from = if is_written { given(&written.dwell) } else { Origin::Strategy };
            table.add(format!("{path}.dwell"), step.dwell, dwell_from);
            table.add(
                format!("{path}.gate"),
                step.gate.as_ref().map_or_else(|| "none".to_owned(), gate),
                given(&written.gate),
            );
            let Some(judging) = plan.checks.as_ref().and_then(|resolved| resolved.steps.get(at)) else { continue };
            table.add(format!("{path}.judged"), step.judged, Origin::Strategy);
            if step.judged {
                table.add(format!("{path}.warmup"), judging.warmup, given(&self.settings.warmup));
                table.add(
                    format!("{path}.inconclusive_budget"),
                    step.budget,
                    given(&self.settings.inconclusive_budget),
                );
                let min_dwell = judging.min_dwell.unwrap_or(judging.dwell);
                table.add(format!("{path}.min_dwell"), min_dwell, given(&self.settings.min_dwell));
            }
        }
    }

    fn judging_into(&self, resolved: &Resolved, table: &mut Table) {
        let settings = &self.settings;
        table.add("tick", resolved.tick, given(&settings.tick));
        table.add("alpha", resolved.alpha, given(&settings.alpha));
        table.add("beta", resolved.beta, given(&settings.beta));
        table.add("on_inconclusive", word(&resolved.on_inconclusive), given(&settings.on_inconclusive));
        table.add("on_degraded", word(&resolved.on_degraded), given(&settings.on_degraded));
        table.add("baseline", word(&resolved.baseline), given(&settings.baseline));
        table.add("retries_per_day", resolved.retries_per_day, given(&settings.retries_per_day));
    }

    fn terms_into(&self, plan: &Plan, table: &mut Table) {
        let terms = &self.terms;
        table.add("bake", plan.bake, given(&terms.bake));
        table.add("lease", plan.lease.map_or_else(|| "off".to_owned(), |lease| lease.to_string()), given(&terms.lease));
        table.add("on_lease_expired", word(&plan.on_lease_expired), given(&terms.on_lease_expired));
        table.add("prepare_limit", plan.prepare_limit, given(&terms.prepare_limit));
        table.add("pause_limit", plan.pause_limit, given(&terms.pause_limit));
        table.add("when_live", word(&plan.when_live), given(&terms.when_live));
        table.add("on_drift", word(&plan.on_drift), given(&terms.on_drift));
        table.add("keep_cohort", plan.keep_cohort, given(&terms.keep_cohort));
        table.add("page_resolve", word(&plan.page_resolve), given(&terms.page_resolve));
        table.add("smoke", plan.smoke.as_ref().map_or_else(|| "none".to_owned(), smoke), given(&terms.smoke));
    }
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    #[expect(clippy::needless_pass_by_value, reason = "most values are made for the call")]
    fn add(&mut self, what: impl Into<String>, value: impl ToString, from: Origin) {
        self.0.push(Row { what: what.into(), value: value.to_string(), from });
    }
}

fn check_into(
    path: &str,
    written: &PolicyCheck,
    (resolved, check, first): (&Resolved, &ResolvedCheck, usize),
    table: &mut Table,
) {
    table.add(format!("{path}.metric"), &check.metric, Origin::Policy);
    for (field, _, template) in check.query.iter().flat_map(Query::parts) {
        table.add(format!("{path}.query.{field}"), template, Origin::Policy);
    }
    for (at, rule) in check.rules.iter().enumerate() {
        let path = format!("{path}.rules[{at}]");
        table.add(format!("{path}.{}", rule.name.as_str()), &rule.limit_text, Origin::Policy);
        match resolved.sequential.gates.iter().find(|gate| gate.rule == first + at) {
            Some(gate) => gate_into(&path, (&written.check, at), (gate, resolved.alpha), table),
            None => rule_into(&path, &written.check, rule, table),
        }
    }
    let action_from = if written.is_action_written { Origin::Policy } else { Origin::Default };
    let written = &written.check;
    table.add(format!("{path}.method"), word(&check.method), given(&written.method));
    table.add(format!("{path}.action"), word(&check.action), action_from);
    let samples_from = if written.min_samples == Some(check.min_samples) { Origin::Policy } else { Origin::Default };
    table.add(format!("{path}.min_samples"), check.min_samples, samples_from);
    if check.method == Method::Threshold {
        table.add(format!("{path}.interval"), check.interval, given(&written.interval));
        table.add(format!("{path}.window"), word(&check.window), given(&written.window));
    }
    table.add(format!("{path}.max_blind"), check.max_blind, given(&written.max_blind));
}

fn rule_into(path: &str, written: &Check, rule: &ResolvedRule, table: &mut Table) {
    if let Some(floor) = rule.floor {
        table.add(format!("{path}.floor"), floor, Origin::Policy);
    }
    table.add(format!("{path}.failure_limit"), rule.failure_limit, given(&written.failure_limit));
    table.add(format!("{path}.failure_mode"), word(&rule.failure_mode), given(&written.failure_mode));
    if let Some(group) = &rule.failure_group {
        table.add(format!("{path}.failure_group"), group, Origin::Policy);
    }
}

/// The numbers of a sequential rule: what is tolerated, and the odds at which it would be a breach by itself.
fn gate_into(path: &str, (written, at): (&Check, usize), (gate, alpha): (&Evidence, f64), table: &mut Table) {
    let set = written.rules.sets().iter().flat_map(|set| set.limits().map(move |_| set)).nth(at);
    if let Some(tolerance) = gate.tolerance {
        table.add(format!("{path}.tolerance"), rounded(tolerance), given(&written.sensitivity));
    }
    if let Some(floor) = gate.floor {
        table.add(format!("{path}.floor"), floor, set.map_or(Origin::Default, |set| given(&set.floor)));
    }
    if !gate.is_relative() {
        let attribution = if gate.attributed { "on" } else { "none" };
        table.add(
            format!("{path}.attribution"),
            attribution,
            set.map_or(Origin::Default, |set| given(&set.attribution)),
        );
    }
    table.add(format!("{path}.weight"), rounded(gate.weight), set.map_or(Origin::Default, |set| given(&set.weight)));
    if gate.weight > 0.0 {
        table.add(format!("{path}.odds"), format!("{:.0}:1", 1.0 / (alpha * gate.weight)), Origin::Default);
    }
    let phi = match gate.phi {
        Dispersed::Stated(phi) | Dispersed::Assumed(phi) => rounded(phi),
        Dispersed::Estimated(_) => "estimated".to_owned(),
    };
    table.add(format!("{path}.phi"), phi, given(&written.phi));
}

/// To six digits behind the point at most: what is computed from what people wrote has rounding in it.
fn rounded(number: f64) -> String {
    ((number * 1e6).round() / 1e6).to_string()
}

const fn given<T>(written: &Option<T>) -> Origin {
    if written.is_some() { Origin::Policy } else { Origin::Default }
}

/// The word under which a value is written.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn shares(step: &Step) -> String {
    match step.split.shares() {
        [candidate, _] => candidate.to_string(),
        shares => shares.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn gate(gate: &Gate) -> String {
    let whom = if gate.approver_not_requester { ", approver_not_requester" } else { "" };
    format!("expires {}{whom}", gate.expires)
}

fn smoke(smoke: &Smoke) -> String {
    let status = smoke.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
    let text = smoke.contains.as_ref().map(|_| " with its text").unwrap_or_default();
    format!("{} {} answers {status}{text}", smoke.method, smoke.path)
}
