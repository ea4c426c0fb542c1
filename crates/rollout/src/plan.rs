//! The plan that a policy compiles to: every number that will apply, frozen when the rollout starts.

use std::collections::BTreeMap;

use judge::{Resolved, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::PolicyName;
use crate::split::Split;

/// How a plan came about. Every strategy is a list of steps; no code path asks for it but the messages to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Steps of growing shares, each judged.
    #[default]
    Canary,
    /// One step of 100 %, not judged: the first version, and the way back to a former one.
    Activate,
}

/// What happens to a promote while another rollout of the model is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenLive {
    /// It is refused.
    #[default]
    Reject,
    /// It waits for its turn.
    Queue,
    /// The live one turns back, unless it is almost through.
    Supersede,
}

/// What an ended lease leads to once everything is alive again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLeaseExpired {
    /// The step is entered anew, with a new generation.
    #[default]
    Resume,
    /// The rollout turns back.
    Rollback,
}

/// What becomes of a target that serves something else than it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// It is put right: at once where its fences let the wish through, else by a newer one.
    #[default]
    Restore,
    /// It is left as it was found, and the rollout waits for a person; a retreat puts it right all the same.
    Hold,
}

impl OnDrift {
    /// Whether nobody chose otherwise.
    #[must_use]
    pub fn is_restore(&self) -> bool {
        *self == Self::Restore
    }
}

/// Who ends a page once its rollout is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageResolve {
    /// The end of the rollout.
    #[default]
    Automatic,
    /// A person.
    ByHand,
}

impl PageResolve {
    /// Whether nobody chose otherwise.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}

/// A person's approval, asked before a step's split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// How long it waits before the rollout turns back.
    pub expires: Span,
    /// Whether whoever asked for the promotion may not approve it.
    pub approver_not_requester: bool,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What people call it.
    pub name: String,
    /// Who gets how much.
    pub split: Split,
    /// How long it is observed, from the moment its split was read back.
    pub dwell: Span,
    /// Asked before its split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Whether checks decide about it; otherwise its dwell does.
    pub judged: bool,
    /// How much longer than the dwell a proof may take.
    pub budget: Span,
}

/// A request that a new version must answer well before it gets traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// HTTP method.
    #[serde(default = "get")]
    pub method: String,
    /// Path under the upstream's base URL.
    pub path: String,
    /// Sent as JSON when it is an object or list, as text otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// The status that it must answer; any 2xx when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Text that the answer must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// A policy with every number filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The policy that it came from.
    pub policy: PolicyName,
    /// How it came about.
    pub strategy: Strategy,
    /// At least one; the last one gives the candidate everything.
    pub steps: Vec<Step>,
    /// The checks as the judge takes them; none for a plan that is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Resolved>,
    /// How long the former version stays warm after the last step.
    pub bake: Span,
    /// Without a beat for that long, targets serve the stable arm; `None` is off.
    pub lease: Option<Span>,
    /// What an ended lease leads to.
    pub on_lease_expired: OnLeaseExpired,
    /// How long a candidate may take until it is ready.
    pub prepare_limit: Span,
    /// How long a pause may last.
    pub pause_limit: Span,
    /// What happens while another rollout is live.
    pub when_live: WhenLive,
    /// What becomes of a target that serves something else than it was told.
    #[serde(default, skip_serializing_if = "OnDrift::is_restore")]
    pub on_drift: OnDrift,
    /// Whether a retry puts the same sessions into the candidate.
    pub keep_cohort: bool,
    /// Who ends a page once the rollout is over.
    #[serde(default, skip_serializing_if = "PageResolve::is_automatic")]
    pub page_resolve: PageResolve,
    /// Asked before the first split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// Defaults that were chosen for the writer, in words: shown by `lint` and `show`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether, and where, a server is asked for its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Health {
    /// A path under the upstream's base URL.
    At {
        /// Such as `/health`.
        path: String,
    },
    /// The word `off`.
    Off(Off),
}

/// The word `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// No health is asked for.
    Off,
}

impl Default for Health {
    fn default() -> Self {
        Self::At { path: "/health".to_owned() }
    }
}

/// What a model was registered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Which requests belong to it.
    #[serde(rename = "match")]
    pub matches: crate::route::Match,
    /// A policy's name, or a whole policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<serde_json::Value>,
    /// How its servers are asked whether they are ready.
    #[serde(default)]
    pub health: Health,
}

/// The candidate's servers, as the registry knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Base URL.
    pub upstream: String,
    /// Set on every request that goes there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How it is asked whether it is ready.
    #[serde(default)]
    pub health: Health,
    /// Which requests belong to the model.
    #[serde(rename = "match")]
    pub matches: crate::route::Match,
}
