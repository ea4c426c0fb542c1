//! Classes: what a policy leaves open comes from the preset that it names as its class, such as `llm-large`.
//!
//! The order is per field: the policy, its class, the default. Steps are one field. A check with the metric of a check of the class
//! takes its fields one by one; other checks are added to those of the class.

use judge::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::check::PolicyCheck;
use super::error::{Findings, Problem};
use super::fields::{described, typed};
use super::node::Node;
use super::{Policy, read};
use crate::name::PolicyName;

/// Reads the name of a class.
pub(super) fn class(node: &Node) -> Result<PolicyName, String> {
    let is_one = |name: &PolicyName| names().any(|known| known == name.as_str());
    typed::<String>(node).ok().and_then(|text| PolicyName::new(text).ok()).filter(is_one).ok_or_else(|| {
        let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        format!("{} is no class: write one of {}", described(node), known.join(", "))
    })
}

/// The presets that can be a class: those with steps and checks.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Policy::PRESETS.iter().copied().filter(|name| *name != "activate")
}

/// The fields of a check that the threshold method alone has.
const OF_THRESHOLD: [&str; 5] = ["window", "interval", "failure_limit", "failure_mode", "failure_group"];

impl Policy {
    /// The same policy with what its class says where it says nothing.
    pub(super) fn whole(&self) -> Self {
        let Some(class) = self.class.as_ref().and_then(policy_of) else { return self.clone() };
        let mut fields = json(&class);
        fields.remove("name");
        fields.extend(json(self));
        fields.remove("class");
        fields.insert("checks".to_owned(), merged(&self.checks, &class.checks));
        read::policy(&Value::Object(fields).into(), &mut Findings::default())
    }

    /// The problems of the whole, where what is wrong may stand in the class alone.
    pub(super) fn naming_its_class(&self, root: &Node, problems: Vec<Problem>) -> Vec<Problem> {
        let Some(class) = &self.class else { return problems };
        // Checks are merged field by field, all else is one field.
        let is_own = |path: &str| root.at(merged_at(path)).is_some();
        let named = |problem: Problem| match is_own(&problem.path) {
            true => problem,
            false => Problem { message: format!("{} (from class `{class}`)", problem.message), ..problem },
        };
        problems.into_iter().map(named).collect()
    }
}

/// The metrics that a class has checks of.
pub(super) fn metrics(class: &PolicyName) -> Vec<String> {
    policy_of(class).into_iter().flat_map(|policy| policy.checks).map(|written| written.check.metric).collect()
}

/// A class, with what its own class says. That each preset can be read, the tests hold.
fn policy_of(class: &PolicyName) -> Option<Policy> {
    let node = Node::parse(Policy::preset(class.as_str())?).ok()?;
    Some(read::policy(&node, &mut Findings::default()).whole())
}

/// The field at which a policy and its class are merged.
fn merged_at(path: &str) -> &str {
    if path.starts_with("checks") { path } else { path.split(['.', '[']).next().unwrap_or(path) }
}

/// Those of the policy first, in their order, so that a check has the same place in both.
fn merged(own: &[PolicyCheck], class: &[PolicyCheck]) -> Value {
    let like = |written: &PolicyCheck, other: &PolicyCheck| written.check.metric == other.check.metric;
    let overlaid = own.iter().map(|written| {
        let mut fields = class.iter().find(|inherited| like(inherited, written)).map(json).unwrap_or_default();
        if written.check.method == Some(Method::Sequential) {
            // Whoever changes the method wants none of the other one's.
            fields.retain(|name, _| !OF_THRESHOLD.contains(&name.as_str()));
        }
        fields.extend(json(written));
        fields
    });
    let added = class.iter().filter(|inherited| !own.iter().any(|written| like(written, inherited))).map(json);
    overlaid.chain(added).map(Value::Object).collect()
}

fn json(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        // What was read from a map is written as one.
        _ => Map::new(),
    }
}
