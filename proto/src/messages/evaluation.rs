//! What another system found out about a version.

use rollout::{Model, RolloutId, Tenant, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Another system has evaluated a candidate: evidence in the log of its rollout, which moves nothing by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationFinished {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The rollout; or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_id: Option<RolloutId>,
    /// the version, whose live rollout is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What the evaluation is called there.
    pub name: String,
    /// What it came to.
    pub outcome: EvaluationOutcome,
    /// Whatever people may want to look at.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
}

impl EvaluationFinished {
    /// Whether it is about a candidate: a rollout of another model is none of its business, whatever it names.
    #[must_use]
    pub fn is_about(&self, tenant: &Tenant, model: &Model, candidate: &Version) -> bool {
        (&self.tenant, &self.model) == (tenant, model)
            && self.version.as_ref().is_none_or(|version| version == candidate)
    }
}

/// What an evaluation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationOutcome {
    /// The candidate is good enough.
    Pass,
    /// It is not.
    Fail,
    /// Nobody knows: the evaluation itself failed.
    Error,
}

impl EvaluationOutcome {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}
