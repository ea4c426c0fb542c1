//! Every value that applies, and where it came from: what `tidegate lint --resolved` prints.

use std::fmt;

use judge::Resolved;
use serde::Serialize;

use super::compile::steps_of;
use super::{Policy, PolicyError};
use crate::plan::{Gate, Plan, Smoke, Step};

mod checks;

use checks::check_into;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is written in the policy.
    Policy,
    /// It is written in the policy's class.
    Class,
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
            Self::Class => "class",
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
        let whole = self.whole();
        let mut table = Table::default();
        let written = Written { own: Some(self), whole: &whole };
        table.add("name", &plan.policy, written.origin(|policy| policy.name.is_some()));
        if let Some(class) = &self.class {
            table.add("class", class, Origin::Policy);
        }
        table.add("strategy", word(&plan.strategy), written.origin(|policy| policy.strategy.is_some()));
        written.steps_into(&plan, &mut table);
        if let Some(resolved) = &plan.checks {
            written.checks_into(resolved, &mut table);
            written.judging_into(resolved, &mut table);
            written.objectives_into(resolved, &mut table);
        }
        written.terms_into(&plan, &mut table);
        Ok(table.0)
    }
}

/// What is written in the policy itself, and in it or its class.
struct Written<'a, T> {
    own: Option<&'a T>,
    whole: &'a T,
}

impl<T> Written<'_, T> {
    /// Where a value came from, as far as people write it.
    fn origin(&self, is_given: impl Fn(&T) -> bool) -> Origin {
        match self.own {
            Some(own) if is_given(own) => Origin::Policy,
            _ if is_given(self.whole) => Origin::Class,
            _ => Origin::Default,
        }
    }
}

impl Written<'_, Policy> {
    fn checks_into(&self, resolved: &Resolved, table: &mut Table) {
        let mut first = 0;
        for (at, (check, whole)) in resolved.checks.iter().zip(&self.whole.checks).enumerate() {
            // The policy's own come first, in its order.
            let written = Written { own: self.own.and_then(|own| own.checks.get(at)), whole };
            check_into(&format!("checks[{at}]"), &written, (resolved, check, first), table);
            first += check.rules.len();
            let baseline_from = match written.origin(|written| written.check.baseline.is_some()) {
                Origin::Default => self.origin(|policy| policy.settings.baseline.is_some()),
                given => given,
            };
            table.add(format!("checks[{at}].baseline"), word(&check.baseline), baseline_from);
        }
    }

    fn steps_into(&self, plan: &Plan, table: &mut Table) {
        // Steps are one field: the policy's, else its class', else those of the strategy.
        let from = match self.origin(|policy| !policy.steps.is_empty()) {
            Origin::Default => Origin::Strategy,
            given => given,
        };
        let given = |is_given: bool| if is_given { from } else { Origin::Default };
        for (at, (written, step)) in steps_of(self.whole).iter().zip(&plan.steps).enumerate() {
            let path = format!("steps[{at}]");
            table.add(format!("{path}.name"), &step.name, given(written.name.is_some()));
            table.add(format!("{path}.split"), shares(step), from);
            let dwell_from = if from == Origin::Strategy { from } else { given(written.dwell.is_some()) };
            table.add(format!("{path}.dwell"), step.dwell, dwell_from);
            table.add(
                format!("{path}.gate"),
                step.gate.as_ref().map_or_else(|| "none".to_owned(), gate),
                given(written.gate.is_some()),
            );
            let Some(judging) = plan.checks.as_ref().and_then(|resolved| resolved.steps.get(at)) else { continue };
            table.add(format!("{path}.judged"), step.judged, Origin::Strategy);
            if step.judged {
                table.add(
                    format!("{path}.warmup"),
                    judging.warmup,
                    self.origin(|policy| policy.settings.warmup.is_some()),
                );
                table.add(
                    format!("{path}.inconclusive_budget"),
                    step.budget,
                    self.origin(|policy| policy.settings.inconclusive_budget.is_some()),
                );
                let min_dwell = judging.min_dwell.unwrap_or(judging.dwell);
                table.add(
                    format!("{path}.min_dwell"),
                    min_dwell,
                    self.origin(|policy| policy.settings.min_dwell.is_some()),
                );
            }
        }
    }

    fn judging_into(&self, resolved: &Resolved, table: &mut Table) {
        table.add("tick", resolved.tick, self.origin(|policy| policy.settings.tick.is_some()));
        table.add("alpha", resolved.alpha, self.origin(|policy| policy.settings.alpha.is_some()));
        table.add("beta", resolved.beta, self.origin(|policy| policy.settings.beta.is_some()));
        table.add(
            "on_inconclusive",
            word(&resolved.on_inconclusive),
            self.origin(|policy| policy.settings.on_inconclusive.is_some()),
        );
        table.add(
            "on_degraded",
            word(&resolved.on_degraded),
            self.origin(|policy| policy.settings.on_degraded.is_some()),
        );
        table.add("baseline", word(&resolved.baseline), self.origin(|policy| policy.settings.baseline.is_some()));
        table.add(
            "retries_per_day",
            resolved.retries_per_day,
            self.origin(|policy| policy.settings.retries_per_day.is_some()),
        );
    }

    fn objectives_into(&self, resolved: &Resolved, table: &mut Table) {
        let from = self.origin(|policy| policy.settings.slos.is_some());
        let given = |is_given: bool| if is_given { from } else { Origin::Default };
        for (at, (slo, written)) in resolved.slos.iter().zip(self.whole.settings.slos.iter().flatten()).enumerate() {
            let (bound, target) = (if slo.is_least { "min" } else { "max" }, slo.target);
            table.add(format!("slos[{at}].metric"), &slo.metric, from);
            table.add(format!("slos[{at}].{bound}"), target, from);
            table.add(format!("slos[{at}].window"), slo.window, given(written.window.is_some()));
            table.add(format!("slos[{at}].budget"), checks::rounded(slo.budget), given(written.budget.is_some()));
        }
    }

    fn terms_into(&self, plan: &Plan, table: &mut Table) {
        table.add("bake", plan.bake, self.origin(|policy| policy.terms.bake.is_some()));
        table.add(
            "lease",
            plan.lease.map_or_else(|| "off".to_owned(), |lease| lease.to_string()),
            self.origin(|policy| policy.terms.lease.is_some()),
        );
        table.add(
            "on_lease_expired",
            word(&plan.on_lease_expired),
            self.origin(|policy| policy.terms.on_lease_expired.is_some()),
        );
        table.add("prepare_limit", plan.prepare_limit, self.origin(|policy| policy.terms.prepare_limit.is_some()));
        table.add("pause_limit", plan.pause_limit, self.origin(|policy| policy.terms.pause_limit.is_some()));
        table.add("when_live", word(&plan.when_live), self.origin(|policy| policy.terms.when_live.is_some()));
        table.add("on_drift", word(&plan.on_drift), self.origin(|policy| policy.terms.on_drift.is_some()));
        table.add("keep_cohort", plan.keep_cohort, self.origin(|policy| policy.terms.keep_cohort.is_some()));
        table.add("page_resolve", word(&plan.page_resolve), self.origin(|policy| policy.terms.page_resolve.is_some()));
        table.add(
            "smoke",
            plan.smoke.as_ref().map_or_else(|| "none".to_owned(), smoke),
            self.origin(|policy| policy.terms.smoke.is_some()),
        );
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
