//! A check as a policy writes it: the judge's own type, read field by field.

use judge::Query;
use judge::check::{Check, RuleSet};
use serde::{Serialize, Serializer, ser};
use serde_json::{Map, Value, json};

use super::error::Findings;
use super::fields::{Fields, read_as, typed};
use super::node::{Content, Node};
use super::structure::{checked, names_of};

/// A check of a policy, and whether its action is written there or was filled in by the judge's type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PolicyCheck {
    pub(super) check: Check,
    pub(super) is_action_written: bool,
}

impl PolicyCheck {
    /// Reads a check; what can't be read is refused, and a harmless value stands in its place.
    /// One whose metric is among the `inherited` needs no rules.
    pub(super) fn read(node: &Node, path: &str, inherited: &[String], findings: &mut Findings) -> Self {
        let mut fields = Fields::of(node, path, names_of::<Check>(), findings);
        fields.require(&[("metric", "error_rate")], findings);
        if !fields.get("metric").and_then(|node| typed(node).ok()).is_some_and(|metric| inherited.contains(&metric)) {
            fields.require(&[("rules", "{gte: 0.10}")], findings);
        }
        let query = fields.take("query").map(|node| {
            let fields = Fields::of(node, &fields.path_of("query"), names_of::<Query>(), findings);
            checked::<Query>(&fields, &Map::new(), findings)
        });
        let rules = fields.take("rules").and_then(|node| rules(node, &fields.path_of("rules"), findings));
        let harmless = Map::from_iter([("metric".to_owned(), json!("error_rate")), ("rules".to_owned(), json!({}))]);
        let mut whole = checked::<Check>(&fields, &harmless, findings);
        whole.extend(query.map(|query| ("query".to_owned(), Value::Object(query))));
        whole.extend(rules.map(|rules| ("rules".to_owned(), rules)));
        Self {
            check: read_as(Value::Object(whole)).unwrap_or_default(),
            is_action_written: fields.get("action").is_some(),
        }
    }
}

impl Serialize for PolicyCheck {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut whole = serde_json::to_value(&self.check).map_err(ser::Error::custom)?;
        if let Some(fields) = whole.as_object_mut() {
            fields.retain(|name, value| match name.as_str() {
                "action" => self.is_action_written,
                // Those of its class, which is written beside it.
                "rules" => *value != json!({}),
                _ => true,
            });
        }
        whole.serialize(out)
    }
}

/// The rules with what can't be read left out.
fn rules(node: &Node, path: &str, findings: &mut Findings) -> Option<Value> {
    match &node.content {
        Content::Map(_) => Some(Value::Object(rule_set(node, path, findings))),
        Content::List(items) => {
            let sets =
                items.iter().enumerate().map(|(at, item)| rule_set(item, &format!("{path}[{at}]"), findings).into());
            Some(Value::Array(sets.collect()))
        }
        _ => {
            findings.refuse(
                path,
                node,
                "no rules: write a limit such as `{max_absolute: 0.05}`, or a list such as `[{gte: 0.10}]`",
            );
            None
        }
    }
}

fn rule_set(node: &Node, path: &str, findings: &mut Findings) -> Map<String, Value> {
    let fields = Fields::of(node, path, names_of::<RuleSet>(), findings);
    checked::<RuleSet>(&fields, &Map::new(), findings)
}
