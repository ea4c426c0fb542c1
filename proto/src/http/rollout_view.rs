//! A rollout as it is shown, and its history.

use judge::Verdict;
use rollout::{At, Model, Plan, Rollout, RolloutId, Stage, Tenant, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exposure::Reached;
use crate::instant::{rfc3339, rfc3339_option};

/// The shares of the candidate, in basis points.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SplitView {
    /// What the rollout wishes.
    pub desired: u32,
    /// What the routers confirmed.
    pub applied: u32,
    /// What the routers counted in this rollout; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<u32>,
    /// Since when the routers have served something else, where that has been so for 15 s.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub drifted_since: Option<At>,
}

/// What a version has served while the rollout was live, as the routers counted it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Exposure {
    /// The version.
    pub version: String,
    /// Requests that ended.
    pub requests: u64,
    /// Of them, those that failed.
    pub errors: u64,
    /// About how many different sessions were sent there.
    #[serde(default)]
    pub sessions: u64,
    /// Requests that were sent there without a session: they are not sticky.
    #[serde(default)]
    pub no_key: u64,
}

/// A rollout as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutView {
    /// Its id.
    pub id: RolloutId,
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version that is rolled out.
    pub candidate: Version,
    /// The version before it.
    pub previous: Option<Version>,
    /// The bare name.
    pub stage: Stage,
    /// Index of the step.
    pub step: u32,
    /// Paused: the stage that `resume` enters. Retreating: the final stage that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Stage>,
    /// Why it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Counts transitions: for `If-Match`.
    pub version: i64,
    /// Every number that applies.
    pub plan: Plan,
    /// The candidate's share.
    pub split: SplitView,
    /// When it is looked at again.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<At>,
    /// When its split was read back.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<At>,
    /// Who asked for it.
    pub requested_by: String,
    /// The latest verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What is breached, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<String>,
    /// What the stable arm did in the hour before; absent where there was no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Value>,
    /// What each version has served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposure: Vec<Exposure>,
    /// Whom the candidate has reached, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
    /// When it was asked for.
    #[serde(with = "rfc3339")]
    pub created_at: At,
    /// When it last moved.
    #[serde(with = "rfc3339")]
    pub updated_at: At,
}

impl RolloutView {
    /// What the row alone says.
    #[must_use]
    pub fn of(row: &Rollout) -> Self {
        Self {
            id: row.id.clone(),
            tenant: row.tenant.clone(),
            model: row.model.clone(),
            candidate: row.candidate.clone(),
            previous: row.previous.clone(),
            stage: row.stage,
            step: row.step,
            resume: row.resume,
            reason: row.reason.clone(),
            version: row.version,
            plan: row.plan.clone(),
            split: SplitView { desired: row.desired().basis_points(), ..SplitView::default() },
            wake_at: row.wake_at,
            applied_at: row.applied_at,
            requested_by: row.requested_by.clone(),
            verdict: None,
            issues: Vec::new(),
            baseline: None,
            exposure: Vec::new(),
            reached: None,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One entry of a rollout's history: a move, or a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: At,
    /// `transition` or `refusal`.
    pub entry: String,
    /// The row's version after it, or when it was refused.
    pub version: i64,
    /// The stage before; `none` at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The stage after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The step after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// What happened.
    pub fact: String,
    /// Who says so.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On what evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}
