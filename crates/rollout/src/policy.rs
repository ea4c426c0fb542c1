//! Policies: what people write about how a version is to take over, and the [`Plan`] that it compiles to.
//!
//! A text is read once, at the border, and everything that is wrong with it is found in that one reading: unknown fields, bad values
//! and plans that can't work, each with its line and column. What comes out compiles. JSON is YAML, so bodies of requests and files
//! are read alike. Which fields exist is written in `CONTRACTS`, section 6; those of a check are the judge's own.

use judge::Span;
use judge::settings::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::PolicyName;
use crate::plan::{OnDrift, OnLeaseExpired, PageResolve, Plan, Smoke, Strategy, WhenLive};

mod check;
mod class;
mod compile;
mod error;
mod fields;
mod laws;
mod node;
mod preset;
mod read;
mod shape;
mod step;
mod structure;
mod table;

pub use error::{PolicyError, Problem};
pub use step::PolicyStep;
pub use table::{Origin, Row};

use check::PolicyCheck;
use error::Findings;
use node::Node;

/// A policy as it was written: what it leaves open stays open until [`Policy::plan`] fills it in.
///
/// Made by [`Policy::from_yaml`] or by reading what was stored; either way it has been checked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
// Rules may be those of the class.
#[schemars(extend("if" = {"not": {"required": ["class"]}}, "then" = {"properties": {"checks": {"items": {"required": ["rules"]}}}}))]
pub struct Policy {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PolicyName>,
    /// The preset that what is left open comes from, check by check and field by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Class>")]
    class: Option<PolicyName>,
    /// How it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::StrategyWord>")]
    strategy: Option<Strategy>,
    /// In their order; the last one gives the candidate everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(max = 200))]
    steps: Vec<PolicyStep>,
    /// What is judged, in each step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, with = "Vec<judge::check::Check>", length(min = 1, max = 50))]
    checks: Vec<PolicyCheck>,
    #[serde(flatten, serialize_with = "what_is_given")]
    settings: Settings,
    #[serde(flatten)]
    terms: Terms,
}

/// The fields of the rollout as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
struct Terms {
    /// How long the former version stays warm after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    bake: Option<Span>,
    /// How long targets go on without a beat, or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    /// What an ended lease leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_lease_expired: Option<OnLeaseExpired>,
    /// How long a candidate may take until it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    prepare_limit: Option<Span>,
    /// How long a pause may last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_limit: Option<Span>,
    /// What happens while another rollout is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    when_live: Option<WhenLive>,
    /// What becomes of a target that serves something else than it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_drift: Option<OnDrift>,
    /// Whether a retry puts the same sessions into the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_cohort: Option<bool>,
    /// Asked before the first split.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_resolve: Option<PageResolve>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smoke: Option<Smoke>,
}

/// How long targets go on without a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    Off,
    For(Span),
}

impl Policy {
    /// Reads and checks a policy, YAML or JSON.
    ///
    /// # Errors
    /// All its problems at once, in the order of its lines. A text that is no YAML at all has one.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyError> {
        Self::of(&Node::parse(text).map_err(PolicyError::of)?)
    }

    /// The plan: every number filled in, the defaults named in its notes.
    ///
    /// # Errors
    /// What keeps it from working; never for a policy as it was read.
    pub fn plan(&self) -> Result<Plan, PolicyError> {
        compile::compile(&self.whole()).map_err(|problems| PolicyError { problems })
    }

    /// The name it gives itself.
    #[must_use]
    pub const fn name(&self) -> Option<&PolicyName> {
        self.name.as_ref()
    }

    /// The same policy under a name, such as that of the path it was sent to.
    #[must_use]
    pub fn with_name(self, name: PolicyName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The steps as written.
    #[must_use]
    pub fn steps(&self) -> &[PolicyStep] {
        &self.steps
    }

    /// How it is carried out.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy.unwrap_or_default()
    }

    fn of(root: &Node) -> Result<Self, PolicyError> {
        let mut findings = Findings::default();
        let policy = read::policy(root, &mut findings);
        if let Err(problems) = compile::compile(&policy.whole()) {
            findings.add_unless_settled(root, policy.naming_its_class(root, problems));
        }
        findings.into_error().map_or(Ok(policy), Err)
    }
}

impl<'de> Deserialize<'de> for Policy {
    /// As it was stored. It is checked again, because whoever wrote it may have been an older program.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(&serde_json::Value::deserialize(from)?.into()).map_err(de::Error::custom)
    }
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => out.serialize_str("off"),
            Self::For(span) => span.serialize(out),
        }
    }
}

/// The judge's settings without those that the policy leaves open.
fn what_is_given<S: Serializer>(settings: &Settings, out: S) -> Result<S::Ok, S::Error> {
    let mut given = serde_json::to_value(settings).map_err(serde::ser::Error::custom)?;
    if let Some(fields) = given.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    given.serialize(out)
}

#[cfg(test)]
mod tests;
