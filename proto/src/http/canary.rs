//! A rollout in the shape that other canary tools give and take.

use rollout::{At, Model, RolloutId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::rfc3339_option;

/// `GET /v1/rollouts/{id}?as=canary-deployment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryDeployment {
    /// The rollout.
    pub deployment_id: RolloutId,
    /// The model or agent.
    pub agent_name: Model,
    /// The version before; none where there was none.
    pub stable_version: Option<Version>,
    /// The version that is rolled out.
    pub canary_version: Version,
    /// The steps of its plan.
    pub stages: Vec<CanaryStage>,
    /// Counts from 0.
    pub current_stage_index: u32,
    /// `in_progress` until it is final, then the name of the final stage.
    pub status: String,
}

/// One step of a [`CanaryDeployment`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryStage {
    /// The candidate's share in percent.
    pub canary_traffic_pct: f64,
    /// How long it is observed.
    pub observation_minutes: f64,
    /// When its split was read back from the routers, which is when its clock starts.
    #[serde(default, with = "rfc3339_option")]
    pub started_at: Option<At>,
}
