//! An event of the stream of facts.

use rollout::{At, Model, RolloutId, Tenant, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instant::rfc3339;

/// One event of `GET /v1/events`: a move of a rollout, or evidence that was noted while it stayed where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutFact {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Which rollout.
    pub rollout_id: RolloutId,
    /// Of the row after it; a rollout's versions have no gap.
    pub version: i64,
    /// What happened, such as `split_applied` or `verdict`.
    pub fact: String,
    /// The stage before; `none` at first. The same as after it where something was only noted.
    pub from: String,
    /// The stage after.
    pub to: String,
    /// The step after.
    pub step: u32,
    /// The version that is rolled out.
    pub candidate: Version,
    /// The version before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who.
    pub actor: String,
    /// On what: the verdict, where one was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: At,
}
