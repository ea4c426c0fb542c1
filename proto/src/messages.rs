//! The payloads. Fields are only ever added; a field that is new has a default.

use std::collections::BTreeMap;

use judge::{Resolved, Span};
use rollout::{
    At, Direction, Health, Match, Model, Plan, PolicyName, RolloutId, Smoke, Stage, Tenant, Verb, Version, WhenLive,
    Workload,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod counted;
mod evaluation;
mod verdict;

pub use counted::{Outcome, OutcomeObserved, RequestsCounted, Sampled};
pub use evaluation::{EvaluationFinished, EvaluationOutcome};
pub use verdict::{Replay, VerdictReached};

use crate::instant::{rfc3339, rfc3339_option};

/// A model is to be registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRegister {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub model: Model,
    /// Such as `RERANKER`.
    #[serde(rename = "type")]
    pub model_type: String,
    /// `model`, `agent` or `prompt`.
    pub kind: String,
    /// Which requests belong to it.
    #[serde(rename = "match")]
    pub matches: Match,
    /// A policy's name, or a whole policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Value>,
    /// How its servers are asked whether they are ready.
    #[serde(default)]
    pub health: Health,
}

/// A version is to be registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionRegister {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// Base URL of its servers.
    pub upstream: String,
    /// Headers that choose it inside its server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Where its artifact lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    /// Whatever its owner wants to keep with it.
    #[serde(default)]
    pub metadata: Value,
    /// Who registers it.
    #[serde(default)]
    pub requested_by: String,
}

/// A policy is to be saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicySave {
    /// Whose it is.
    pub tenant: Tenant,
    /// Policies belong to no model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Its name.
    pub name: PolicyName,
    /// The policy as it was written.
    pub spec: Value,
    /// Who saves it.
    pub created_by: String,
}

/// A version is to be promoted: the message of other systems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionPromote {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// `canary` is the only one.
    #[serde(default = "canary")]
    pub target_stage: String,
    /// A policy's name, or a whole policy; the model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Value>,
    /// What happens while another rollout is live; the policy's word when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_live: Option<WhenLive>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn canary() -> String {
    "canary".to_owned()
}

/// A rollout is asked for, with everything resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionRequested {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Made from the promote message.
    pub rollout_id: RolloutId,
    /// The version.
    pub candidate: Version,
    /// Its servers.
    pub workload: Workload,
    /// The policy, whole and resolved.
    pub plan: Plan,
    /// What happens while another rollout is live.
    pub when_live: WhenLive,
    /// Who asks.
    pub requested_by: String,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the registry has against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A word said to a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutCommand {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Which rollout.
    pub rollout_id: RolloutId,
    /// The word.
    pub verb: Verb,
    /// The owner of the key: rules use this.
    pub owner: String,
    /// Who it is said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only while stage and step are still those of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<i64>,
}

/// A candidate is to be brought up and probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadStart {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// For which rollout.
    pub rollout_id: RolloutId,
    /// Given back by the answer.
    pub attempt: i64,
    /// The version that must answer.
    pub version: Version,
    /// Its servers.
    pub workload: Workload,
    /// Asked before the first split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// No probe is sent after this instant.
    #[serde(with = "rfc3339")]
    pub until: At,
}

/// A candidate is ready, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadAnswer {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// For which rollout.
    pub rollout_id: RolloutId,
    /// Of the request.
    pub attempt: i64,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it may still become ready.
    #[serde(default)]
    pub passing: bool,
}

/// The wished route is to be applied; the wish itself is the `route` row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplitApply {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// By which rollout.
    pub rollout_id: RolloutId,
    /// Of the wish.
    pub generation: i64,
    /// Back is urgent.
    pub direction: Direction,
}

/// The wished route was applied and read back, or not yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplitAnswer {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// By which rollout.
    pub rollout_id: RolloutId,
    /// Of the wish.
    pub generation: i64,
    /// Back is urgent.
    pub direction: Direction,
    /// The routers that confirmed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<String>,
    /// What stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a target was seen to serve without being asked: its lease ended, or something else than the wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteNews {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Of which rollout the wish is; none between rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_id: Option<RolloutId>,
    /// Of the wish.
    pub generation: i64,
    /// Which target.
    pub target: String,
    /// The generation that somebody else put there; 0 where that is no route at all. None where a target did not follow for long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<i64>,
    /// Whether the target holds the rollout as stopped, and no such stop is recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// What was found, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An analysis is to be opened, or answered with its latest verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisRun {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// For which rollout.
    pub rollout_id: RolloutId,
    /// Given back by the verdict.
    pub attempt: i64,
    /// The step.
    pub step: u32,
    /// The version that is judged.
    pub candidate: Version,
    /// The version beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// Of the split that serves.
    pub generation: i64,
    /// The candidate's share in basis points.
    pub split_bp: u32,
    /// When the split was read back.
    #[serde(with = "rfc3339")]
    pub applied_at: At,
    /// How long the step is watched.
    pub dwell: Span,
    /// Milliseconds of it that were spent paused.
    #[serde(default)]
    pub held_ms: i64,
    /// The checks as resolved.
    pub checks: Resolved,
}

/// A rollout moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutMoved {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Which rollout.
    pub rollout_id: RolloutId,
    /// Of the row after it.
    pub version: i64,
    /// Of the last split asked for.
    pub generation: i64,
    /// The stage before; none at first.
    pub from: Option<Stage>,
    /// The stage after.
    pub to: Stage,
    /// The step after.
    pub step: u32,
    /// The version that is rolled out.
    pub candidate: Version,
    /// The version before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// The candidate's share in basis points once this is applied.
    pub split_bp: u32,
    /// Whether that split was read back.
    pub split_applied: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who.
    pub actor: String,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: At,
}

/// A rollout waits for somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutWaiting {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Which rollout.
    pub rollout_id: RolloutId,
    /// Of the row after it; 0 from a release that did not say.
    #[serde(default)]
    pub version: i64,
    /// Where.
    pub stage: Stage,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: At,
    /// Until when.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub until: Option<At>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionNews {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// Its status now.
    pub status: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
