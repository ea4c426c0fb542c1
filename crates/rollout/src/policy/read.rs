//! The policy as a whole, read from its tree.

use judge::Span;
use judge::settings::Settings;
use serde_json::{Map, Value, json};

use super::check::PolicyCheck;
use super::class;
use super::error::Findings;
use super::fields::{Fields, described, excerpt, read_as, typed};
use super::node::{Content, Node};
use super::step::PolicyStep;
use super::structure::{checked, names_of};
use super::{Lease, Policy, Terms};
use crate::name::PolicyName;
use crate::plan::{Smoke, Strategy};

const OURS: &[&str] = &[
    "name",
    "class",
    "strategy",
    "steps",
    "checks",
    "bake",
    "lease",
    "on_lease_expired",
    "prepare_limit",
    "pause_limit",
    "when_live",
    "on_drift",
    "keep_cohort",
    "page_resolve",
    "smoke",
];

/// Most steps: more could not be followed by a person, and each is stored with the rollout.
const STEPS_MAX: usize = 200;

/// Most checks: each is judged at each tick.
const CHECKS_MAX: usize = 50;

/// Reads all fields; what can't be read is refused, and a harmless value stands in its place.
pub(super) fn policy(root: &Node, findings: &mut Findings) -> Policy {
    let of_judge = names_of::<Settings>();
    let mut fields = Fields::of(root, "", &[OURS, of_judge].concat(), findings);
    let class = fields.read("class", findings, class::class);
    Policy {
        name: fields.read("name", findings, name),
        strategy: fields.read("strategy", findings, strategy),
        steps: steps(&fields, findings),
        checks: checks(&fields, class.as_ref(), findings),
        terms: terms(&fields, findings),
        settings: {
            for name in OURS {
                fields.take(name);
            }
            let given = checked::<Settings>(&fields, &Map::new(), findings);
            read_as(Value::Object(given)).unwrap_or_default()
        },
        class,
    }
}

fn terms(fields: &Fields<'_>, findings: &mut Findings) -> Terms {
    Terms {
        bake: fields.read("bake", findings, typed),
        lease: fields.read("lease", findings, lease),
        on_lease_expired: fields.read("on_lease_expired", findings, typed),
        prepare_limit: fields.read("prepare_limit", findings, typed),
        pause_limit: fields.read("pause_limit", findings, typed),
        when_live: fields.read("when_live", findings, typed),
        on_drift: fields.read("on_drift", findings, typed),
        keep_cohort: fields.read("keep_cohort", findings, typed),
        page_resolve: fields.read("page_resolve", findings, typed),
        smoke: smoke(fields, findings),
    }
}

fn name(node: &Node) -> Result<PolicyName, String> {
    let text: String = typed(node)?;
    PolicyName::new(text).map_err(|error| error.to_string())
}

fn strategy(node: &Node) -> Result<Strategy, String> {
    // A linear rollout is a canary whose steps are evenly spaced, and its steps are written here like any others.
    if typed::<String>(node).is_ok_and(|word| word == "linear") {
        return Ok(Strategy::Canary);
    }
    typed(node)
}

fn steps(fields: &Fields<'_>, findings: &mut Findings) -> Vec<PolicyStep> {
    let nodes = fields.list("steps", findings).unwrap_or_default();
    if let Some(surplus) = nodes.get(STEPS_MAX) {
        findings.refuse("steps", surplus, format!("{} steps: a policy has at most {STEPS_MAX}", nodes.len()));
    }
    let mut steps: Vec<PolicyStep> = Vec::new();
    for (at, node) in nodes.iter().take(STEPS_MAX).enumerate() {
        steps.push(PolicyStep::read(node, &format!("steps[{at}]"), steps.last(), findings));
    }
    steps
}

fn checks(fields: &Fields<'_>, class: Option<&PolicyName>, findings: &mut Findings) -> Vec<PolicyCheck> {
    let inherited = class.map(class::metrics).unwrap_or_default();
    let nodes = fields.list("checks", findings);
    if let (Some([]), Some(node)) = (nodes, fields.get("checks")) {
        findings.refuse(
            "checks",
            node,
            "an empty list judges nothing: write a check, or leave `checks` out so that each step only runs its dwell",
        );
    }
    let nodes = nodes.unwrap_or_default();
    if let Some(surplus) = nodes.get(CHECKS_MAX) {
        findings.refuse("checks", surplus, format!("{} checks: a policy has at most {CHECKS_MAX}", nodes.len()));
    }
    nodes
        .iter()
        .take(CHECKS_MAX)
        .enumerate()
        .map(|(at, node)| PolicyCheck::read(node, &format!("checks[{at}]"), &inherited, findings))
        .collect()
}

fn lease(node: &Node) -> Result<Lease, String> {
    match &node.content {
        Content::Scalar(Value::String(word)) if word == "off" => Ok(Lease::Off),
        Content::Scalar(Value::Bool(_)) => Err(format!("{} is no lease: write `300s` or `off`", described(node))),
        _ => typed::<Span>(node).map(Lease::For),
    }
}

fn smoke(fields: &Fields<'_>, findings: &mut Findings) -> Option<Smoke> {
    let node = fields.get("smoke")?;
    let inner = Fields::of(node, "smoke", names_of::<Smoke>(), findings);
    if let Some(body) = inner.get("body") {
        smoke_body(body, findings);
    }
    if matches!(node.content, Content::Map(_)) {
        inner.require(&[("path", "/predict")], findings);
    }
    let whole = checked::<Smoke>(&inner, &Map::from_iter([("path".to_owned(), json!("/"))]), findings);
    read_as(Value::Object(whole)).ok()
}

/// The body is sent as it is, so only what JSON could not say of it is refused.
fn smoke_body(body: &Node, findings: &mut Findings) {
    if let Some(twin) = body.written_twice() {
        findings.refuse_at("smoke.body", twin.place, format!("`{}` is written twice: keep one", excerpt(&twin.key)));
    }
    if let Some(number) = body.not_finite() {
        findings.refuse("smoke.body", body, format!("{number} is no finite number"));
    }
}
