//! The golden files are written in the shapes that the documents of the others show; what comes of them is a snapshot each.

use crate::{Converted, Document, Error, Format, Naming, Target, export, import};
use rollout::{Plan, Policy};

mod arbitrary;
mod golden;
mod noted;
mod refused;
mod resolved;

/// The golden files of imports, each with its format; the second one of Flagger's has templates beside it.
const SOURCES: [(Format, &[&str]); 6] = [
    (Format::Flagger, &[include_str!("golden/flagger-vllm-agent.yaml")]),
    (Format::Flagger, &[include_str!("golden/flagger-webhooks.yaml"), include_str!("golden/flagger-templates.yaml")]),
    (Format::Flagger, &[include_str!("golden/flagger-ab.yaml")]),
    (Format::Argo, &[include_str!("golden/argo-background.yaml")]),
    (Format::Argo, &[include_str!("golden/argo-without-equal.yaml")]),
    (Format::AgentSre, &[include_str!("golden/agent-sre-rollout.json")]),
];

fn imported(format: Format, texts: &[&str]) -> Result<Converted, Error> {
    let documents: Vec<_> = texts.iter().map(|text| Document { name: "it.yaml", text }).collect();
    import(format, &documents)
}

fn exported(target: Target, policy: &Policy) -> Converted {
    let name = policy.name().map_or("unnamed", |name| name.as_str()).to_owned();
    export(target, policy, &Naming { name, namespace: "default".to_owned(), port: 80 }).unwrap()
}

fn read(text: &str) -> Policy {
    Policy::from_yaml(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn plan(text: &str) -> Plan {
    read(text).plan().unwrap()
}

/// The text with its notes, as a person would see them.
fn told(converted: &Converted) -> String {
    let notes: Vec<String> = converted.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{}\n{}", converted.text, notes.concat())
}

/// A Canary whose analysis is this.
fn canary(analysis: &str) -> String {
    format!("kind: Canary\nmetadata: {{name: x}}\nspec: {{analysis: {analysis}}}")
}

/// A Rollout whose canary is this, and a template whose metrics are that.
fn rollout(canary: &str, metrics: &str) -> String {
    format!(
        "kind: Rollout\nmetadata: {{name: x}}\nspec: {{strategy: {{canary: {canary}}}}}\n---\n\
         kind: AnalysisTemplate\nmetadata: {{name: t}}\nspec: {{metrics: {metrics}}}"
    )
}
