//! Ours in the words of others: a policy as a `Canary` or as a `Rollout`, with the templates that its checks need.
//!
//! What others can't say is named, with what stands in its place. Where they count or wait in another way, theirs is never the bolder
//! one: the longest time, the smallest number of failures.

use judge::Span;
use rollout::Policy;

use crate::error::Error;
use crate::{Converted, draft};

mod argo;
mod bounds;
mod expression;
mod flagger;
mod rows;

use rows::Rows;

/// Whose words a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A `Canary`, and `MetricTemplate`s.
    Flagger,
    /// A `Rollout`, and an `AnalysisTemplate`.
    Argo,
}

/// What a policy does not say and a manifest must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Of the objects and of what they are about.
    pub name: String,
    /// Where they are.
    pub namespace: String,
    /// Where the model answers.
    pub port: u16,
}

/// Writes a policy in the words of others.
///
/// # Errors
/// None for a policy that has been read.
pub fn export(target: Target, policy: &Policy, naming: &Naming) -> Result<Converted, Error> {
    let plan = policy.plan().map_err(Error::Policy)?;
    let mut rows = Rows::of(policy)?;
    let mut notes = Vec::new();
    let text = match target {
        Target::Flagger => flagger::write(&plan, naming, &mut rows, &mut notes),
        Target::Argo => argo::write(&plan, naming, &mut rows, &mut notes),
    };
    rows.rest(target, &mut notes);
    Ok(Converted { text, notes })
}

/// What both kinds of manifests have on top.
fn head(target: &str, policy: &str) -> String {
    let fill = "What is marked \"Fill in\" a policy does not say.";
    draft::comment(&format!("Made by `tidegate export {target}` from the policy {policy}. {fill}"), "")
}

fn metadata(naming: &Naming, name: &str) -> String {
    format!("metadata:\n  name: {}\n  namespace: {}\n", draft::quoted(name), draft::quoted(&naming.namespace))
}

/// A length of time as Go and Prometheus read it.
fn short(span: Span) -> String {
    [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")]
        .into_iter()
        .find(|(unit, _)| span.0.is_multiple_of(*unit))
        .map(|(unit, letter)| format!("{}{letter}", span.0 / unit))
        .unwrap_or_default()
}

/// A text of several lines as a literal block.
fn block(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("{indent}{line}").trim_end().to_owned() + "\n").collect()
}

/// What rounding has left behind of a decimal is not shown.
fn tidy(number: f64) -> f64 {
    format!("{number:.10}").parse().unwrap_or(number)
}
