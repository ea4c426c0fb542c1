//! Rows that are not objects of the domain.

mod safety;
mod scene;

use std::collections::BTreeMap;

use rollout::{At, Model, ModelSpec, PolicyName, RolloutId, Tenant, Version};
use serde_json::Value;

pub use safety::{BeatRow, StopRow};
pub use scene::{Live, Place, Scene};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It changed something.
    Applied,
    /// It changed nothing, with a reason.
    Refused,
    /// It can never work.
    Parked,
}

impl Settled {
    /// The stored word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Parked => "parked",
        }
    }
}

/// The mark of a message that a service has settled.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Who settled it.
    pub service: &'static str,
    /// The message's source.
    pub source: String,
    /// The message's id.
    pub message_id: String,
    /// What became of it.
    pub settled: Settled,
    /// Why, when it changed nothing.
    pub reason: Option<String>,
    /// The rollout that it was about.
    pub rollout_id: Option<RolloutId>,
    /// When.
    pub handled_at: At,
}

/// A message to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Who says it.
    pub service: &'static str,
    /// Its id; said once for ever.
    pub message_id: String,
    /// The rollout that it is about.
    pub rollout_id: Option<RolloutId>,
    /// Where it goes.
    pub subject: String,
    /// Headers beside the event, as a JSON object.
    pub headers: String,
    /// The event.
    pub body: String,
    /// When.
    pub created_at: At,
}

/// A message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its place in the stream.
    pub position: i64,
    /// Who said it.
    pub service: String,
    /// Its id.
    pub message_id: String,
    /// Where it went.
    pub subject: String,
    /// Headers beside the event, as a JSON object.
    pub headers: String,
    /// The event.
    pub body: String,
    /// When it was said.
    pub created_at: At,
}

/// A message that can never work.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Its id in the list.
    pub id: String,
    /// Who parked it.
    pub service: String,
    /// The message's source.
    pub source: String,
    /// The message's id.
    pub message_id: String,
    /// Where it came from.
    pub subject: String,
    /// A word of a closed set.
    pub reason: String,
    /// What exactly is wrong.
    pub error: String,
    /// Headers beside it, as a JSON object.
    pub headers: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// How often it was tried.
    pub tries: i64,
    /// When it was first seen.
    pub first_seen_at: At,
    /// When it was parked.
    pub parked_at: At,
    /// When it was replayed, and is parked no more.
    pub replayed_at: Option<At>,
    /// By whom.
    pub replayed_by: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: Model,
    /// Such as `RERANKER`.
    pub model_type: String,
    /// `model`, `agent` or `prompt`.
    pub kind: String,
    /// The unique text of its match.
    pub match_key: String,
    /// Match, policy and health, with defaults filled in.
    pub spec: ModelSpec,
    /// Of the last news applied.
    pub generation: i64,
    /// When it was registered.
    pub created_at: At,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// The model's type.
    pub model_type: String,
    /// The model.
    pub name: Model,
    /// The version.
    pub version: Version,
    /// Where its artifact lies.
    pub artifact_uri: Option<String>,
    /// `published`, `canary`, `active`, `retired`, `turned_back` or `revoked`.
    pub status: String,
    /// Its share in percent.
    pub traffic_pct: f64,
    /// Base URL of its servers.
    pub upstream: String,
    /// Headers that choose it inside its server.
    pub headers: BTreeMap<String, String>,
    /// Whatever its owner wants to keep with it.
    pub metadata: Value,
    /// When it was registered.
    pub created_at: At,
    /// When its status last changed.
    pub updated_at: At,
}

/// One revision of a named policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: PolicyName,
    /// Counts from 1.
    pub revision: i64,
    /// The policy as it was written.
    pub spec: Value,
    /// Who wrote it.
    pub created_by: String,
    /// When.
    pub created_at: At,
}

/// A change of a version's status, for the promotion history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionRow {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub name: Model,
    /// The version.
    pub version: Version,
    /// Status before.
    pub from_stage: String,
    /// Status after.
    pub to_stage: String,
    /// Who moved it.
    pub actor: String,
    /// By which rollout.
    pub rollout_id: RolloutId,
    /// When.
    pub at: At,
}

/// One move of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Whose.
    pub rollout_id: RolloutId,
    /// The row's version after it.
    pub version: i64,
    /// `none` for the first.
    pub from_stage: String,
    /// Where it went.
    pub to_stage: String,
    /// The step after it.
    pub step: u32,
    /// The kind of what happened.
    pub fact_kind: String,
    /// Who sent the message.
    pub fact_source: String,
    /// The message's id.
    pub fact_id: String,
    /// The fact, whole, so that the log folds.
    pub fact: Value,
    /// Who says so.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// On what evidence.
    pub evidence: Option<Value>,
    /// When.
    pub decided_at: At,
}

/// One move of a rollout, with what the rollout is about.
#[derive(Debug, Clone, PartialEq)]
pub struct FactRow {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version that is rolled out.
    pub candidate: Version,
    /// The version before it.
    pub previous: Option<Version>,
    /// The move.
    pub entry: Transition,
}

/// Whose moves, or those of which rollout; all where neither is named.
pub type FactsOf<'a> = (Option<&'a Tenant>, Option<&'a RolloutId>);

/// A fact that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// Whose.
    pub rollout_id: RolloutId,
    /// Who sent the message.
    pub fact_source: String,
    /// The message's id.
    pub fact_id: String,
    /// The kind of what happened.
    pub fact_kind: String,
    /// The refusal's name.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// The row's version.
    pub at_version: i64,
    /// When.
    pub refused_at: At,
}

/// One tick of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRow {
    /// Whose.
    pub rollout_id: RolloutId,
    /// `candidate` or `stable`.
    pub arm: &'static str,
    /// Counts from 1 over the whole rollout.
    pub tick: i64,
    /// Step, elapsed, held, warm-up and signals.
    pub row: Value,
}

/// Where an analysis stands.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeRow {
    /// Whose.
    pub rollout_id: RolloutId,
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Of the request.
    pub attempt: i64,
    /// The last tick closed; 0 before the first.
    pub tick: i64,
    /// The analysis as it was asked for.
    pub request: Value,
    /// The judge's and the collector's state.
    pub state: Value,
    /// The latest verdict.
    pub verdict: Option<Value>,
    /// When the next tick is due; none when the analysis is over.
    pub wake_at: Option<At>,
}

/// What one source has counted for one version since it started.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationRow {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// `<router>.<boot>`, or `api`.
    pub source: String,
    /// The generation that the source served.
    pub generation: i64,
    /// When the source started to count.
    pub started_at: At,
    /// When it took the sample.
    pub sampled_at: At,
    /// Cumulative signals.
    pub series: Value,
}

/// One minute of the active version without a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineRow {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// The minute's first instant.
    pub minute: At,
    /// Increments of that minute.
    pub signals: Value,
}

/// What a target was last seen to serve.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    /// `routers/<tenant>/<model>` for the routers of a model.
    pub target_id: String,
    /// What it should serve.
    pub desired_generation: i64,
    /// What it was read back to serve.
    pub applied_generation: i64,
    /// The message that waits for an answer.
    pub request: Option<String>,
    /// What was read back.
    pub observed: Option<Value>,
    /// What stopped it.
    pub error: Option<String>,
    /// When it was looked at.
    pub observed_at: At,
    /// Since when it serves something else, where that has been so for long. Written by [`crate::Change::Drifted`] alone.
    pub drift_at: Option<At>,
}

/// A candidate's servers while they are brought up.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadRow {
    /// Whose.
    pub rollout_id: RolloutId,
    /// The request as it came.
    pub request: Value,
    /// Of the request.
    pub attempt: i64,
    /// `probing`, `ready` or `failed`.
    pub state: String,
    /// The last probe's reason.
    pub error: Option<String>,
    /// Probes so far.
    pub tries: i64,
    /// When to probe next.
    pub wake_at: Option<At>,
}

/// The answer to a write that named a key.
#[derive(Debug, Clone, PartialEq)]
pub struct IdempotencyRow {
    /// Whose key.
    pub tenant: Tenant,
    /// The key.
    pub key: String,
    /// Of the request's method, path and body.
    pub request_hash: Vec<u8>,
    /// The message that it became.
    pub message_id: String,
    /// The answer.
    pub answer: Value,
    /// When.
    pub created_at: At,
}

/// A rollout that must be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub rollout_id: RolloutId,
    /// The row's version, or the tick or attempt, that the deadline belongs to.
    pub version: i64,
    /// When.
    pub wake_at: At,
}

/// One key of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusValue {
    /// The key.
    pub key: String,
    /// Counts the changes of the key.
    pub revision: i64,
    /// The value.
    pub value: String,
}
