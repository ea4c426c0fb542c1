//! What the judge says of a rollout, and from what it can be computed again.

use judge::Verdict;
use rollout::{Model, RolloutId, Tenant, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exposure::Reached;

/// The judge has spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReached {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// About which rollout.
    pub rollout_id: RolloutId,
    /// Of the request.
    pub attempt: i64,
    /// Of the split that was judged.
    pub generation: i64,
    /// The candidate's share in basis points.
    pub split_bp: u32,
    /// The version that was judged.
    pub arm: Version,
    /// Whether nothing is wrong with it.
    pub is_healthy: bool,
    /// Every rule that is breached, in words.
    pub issues: Vec<String>,
    /// Whom the candidate has reached so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
    /// What makes it possible to compute it again; absent in what an older release said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The record.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a verdict was computed from: who has the ledger can compute it again and compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// The first tick of the ledger.
    pub first_tick: u64,
    /// The tick of the verdict.
    pub last_tick: u64,
    /// Of the policy as it was resolved, see [`crate::digest`].
    pub policy_digest: String,
    /// Of the judge's state behind that tick.
    pub state_digest: String,
}

impl VerdictReached {
    /// Whether it takes traffic away from the candidate.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.verdict.action == judge::Decision::Rollback
    }
}
