//! The body of a promote that changes nothing.

use rollout::{Model, Plan, RolloutId, Version, WhenLive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/registry/{model}/{version}/promote?dry_run=true`: what would apply, and where each number comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    /// The model.
    pub model: Model,
    /// The version that would be rolled out.
    pub version: Version,
    /// The version that serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// The policy, in words: whose it is, and which revision.
    pub policy: String,
    /// What happens to this promote while another rollout is live.
    pub when_live: WhenLive,
    /// The live rollout that it would wait for, or take the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<RolloutId>,
    /// Every value that would apply.
    pub resolved: Vec<ResolvedRow>,
    /// The plan that the rollout would keep.
    pub plan: Plan,
}

/// One value that applies, in the words of `tidegate lint --resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedRow {
    /// The field, such as `steps[0].dwell`.
    pub what: String,
    /// Its value, as a policy would write it.
    pub value: String,
    /// `preset`, `policy`, `model's policy`, `strategy`, `request` or `default`.
    pub from: String,
}
