//! A step as a policy writes it, in our words or in those of agent-sre, whose `RolloutStep.to_dict()` can be pasted.

use judge::Span;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::error::Findings;
use super::fields::{Fields, described, excerpt, typed};
use super::node::{Content, Node};
use crate::plan::Gate;
use crate::split::{Share, Split};

const FIELDS: &[&str] = &["name", "split", "dwell", "gate", "weight", "duration_seconds", "manual_gate", "analysis"];

/// Longest name of a step, in characters.
const NAME_CHARS_MAX: usize = 100;

/// How long a gate waits when nobody says otherwise.
const GATE_EXPIRES: Span = Span::from_secs(24 * 3600);

/// One step of a policy, as far as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyStep {
    /// What people call it; the plan calls it by its share when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who gets how much.
    #[serde(serialize_with = "percents")]
    pub split: Split,
    /// How long it is observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dwell: Option<Span>,
    /// Asked before its split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

impl PolicyStep {
    /// The step in the shape of agent-sre's `RolloutStep.to_dict()`. That shape knows neither more than one candidate nor the terms
    /// of a gate; its `analysis` is empty, because checks belong to the plan here.
    #[must_use]
    pub fn to_agent_sre(&self) -> Value {
        let dwell = self.dwell.unwrap_or_default();
        let seconds = if dwell.0.is_multiple_of(1000) { json!(dwell.0 / 1000) } else { json!(dwell.0 as f64 / 1000.0) };
        json!({
            "name": self.name.as_deref().unwrap_or_default(),
            "weight": f64::from(self.split.candidates().basis_points()) / f64::from(crate::split::WHOLE),
            "duration_seconds": seconds,
            "analysis": [],
            "manual_gate": self.gate.is_some(),
        })
    }

    /// What the plan calls it when it has no name.
    pub(super) fn default_name(&self) -> String {
        self.split.candidates().to_string()
    }

    /// Reads a step; what can't be read is refused and stands as in `before`, so that the steps after it are judged fairly.
    pub(super) fn read(node: &Node, path: &str, before: Option<&Self>, findings: &mut Findings) -> Self {
        let fields = Fields::of(node, path, FIELDS, findings);
        fields.only_one_of(["split", "weight"], findings);
        fields.only_one_of(["dwell", "duration_seconds"], findings);
        fields.only_one_of(["gate", "manual_gate"], findings);
        let split = fields.read("split", findings, split).or_else(|| fields.read("weight", findings, weight));
        if fields.get("split").or(fields.get("weight")).is_none() && !findings.is_settled(&fields.path_of("split")) {
            findings.refuse(
                fields.path_of("split"),
                node,
                "missing: write the candidate's percent, such as `split: 5`",
            );
        }
        let dwell =
            fields.read("dwell", findings, typed).or_else(|| fields.read("duration_seconds", findings, seconds));
        // A field that was refused under its other name must not be missed under ours.
        for (ours, theirs, is_read) in
            [("split", "weight", split.is_some()), ("dwell", "duration_seconds", dwell.is_some())]
        {
            if fields.get(theirs).is_some() && !is_read {
                findings.settle(fields.path_of(ours));
            }
        }
        let _ = fields.read("analysis", findings, no_analysis);
        Self {
            name: fields.read("name", findings, name).flatten(),
            split: split
                .unwrap_or_else(|| before.map_or_else(|| Split::candidate(Share::ZERO), |before| before.split.clone())),
            dwell,
            gate: gate(&fields, findings),
        }
    }
}

fn percents<S: Serializer>(split: &Split, out: S) -> Result<S::Ok, S::Error> {
    match split.shares() {
        [candidate, _] => number(*candidate).serialize(out),
        shares => shares.iter().copied().map(number).collect::<Vec<_>>().serialize(out),
    }
}

/// Whole percents without a fraction, as people write them.
fn number(share: Share) -> Value {
    if share.basis_points().is_multiple_of(100) { json!(share.basis_points() / 100) } else { json!(share.percent()) }
}

fn name(node: &Node) -> Result<Option<String>, String> {
    let name: String = typed(node)?;
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("bad step name `{}`: at most {NAME_CHARS_MAX} characters on one line", excerpt(&name)));
    }
    Ok((!name.trim().is_empty()).then_some(name))
}

fn split(node: &Node) -> Result<Split, String> {
    match &node.content {
        Content::List(items) => items.iter().map(percent).collect::<Result<Vec<_>, _>>().and_then(Split::new),
        _ => percent(node).map(Split::candidate),
    }
}

fn percent(node: &Node) -> Result<Share, String> {
    let number = match &node.content {
        Content::Scalar(Value::Number(number)) => number.as_f64(),
        Content::Scalar(Value::String(text)) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
        _ => None,
    };
    number
        .ok_or_else(|| format!("{} is not a share: write percent such as 5 or \"5%\"", described(node)))
        .and_then(Share::of_percent)
}

fn weight(node: &Node) -> Result<Split, String> {
    match &node.content {
        Content::Scalar(Value::Number(number)) => {
            Share::of_weight(number.as_f64().unwrap_or(f64::NAN)).map(Split::candidate)
        }
        _ => Err(format!("{} is not a weight: write a fraction from 0 to 1 such as 0.05", described(node))),
    }
}

fn seconds(node: &Node) -> Result<Span, String> {
    match &node.content {
        Content::Scalar(Value::Number(_)) => typed(node),
        _ => Err(format!("{} is no number of seconds: write one such as 30", described(node))),
    }
}

fn no_analysis(node: &Node) -> Result<(), String> {
    match &node.content {
        Content::List(items) if items.is_empty() => Ok(()),
        _ => Err("checks belong to the plan and hold in each step: write them under `checks`".to_owned()),
    }
}

fn gate(fields: &Fields<'_>, findings: &mut Findings) -> Option<Gate> {
    let asked = Gate { expires: GATE_EXPIRES, approver_not_requester: false };
    let Some(node) = fields.get("gate") else {
        return fields.read("manual_gate", findings, typed::<bool>)?.then_some(asked);
    };
    match &node.content {
        Content::Scalar(Value::Bool(is_asked)) => is_asked.then_some(asked),
        Content::Map(_) => {
            let terms = Fields::of(node, &fields.path_of("gate"), &["expires", "approver_not_requester"], findings);
            Some(Gate {
                expires: terms.read("expires", findings, typed).unwrap_or(asked.expires),
                approver_not_requester: terms
                    .read("approver_not_requester", findings, typed)
                    .unwrap_or(asked.approver_not_requester),
            })
        }
        _ => {
            findings.refuse(
                fields.path_of("gate"),
                node,
                format!("{} is no gate: write `true` or `{{expires: 24h}}`", described(node)),
            );
            None
        }
    }
}
