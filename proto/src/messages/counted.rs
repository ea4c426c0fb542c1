//! What routers count and callers observe.

use std::collections::BTreeMap;

use judge::{Signals, Spread};
use rollout::{At, Model, Tenant, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exposure::Exposed;
use crate::instant::rfc3339;

/// What a router has counted since it started, all arms of a model in one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestsCounted {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// `<router>.<boot>`.
    pub router: String,
    /// Of the route that it serves.
    pub generation: i64,
    /// When it started to count.
    #[serde(with = "rfc3339")]
    pub started_at: At,
    /// When it took the sample.
    #[serde(with = "rfc3339")]
    pub sampled_at: At,
    /// The route carries a rollout: otherwise the sample is for the baseline.
    #[serde(default)]
    pub live: bool,
    /// By version.
    pub arms: Vec<Sampled>,
}

/// What a router has counted for one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sampled {
    /// The version.
    pub version: Version,
    /// Requests that were sent to it.
    #[serde(default)]
    pub requests: u64,
    /// Those of them that had no session, and so are not sticky.
    #[serde(default)]
    pub by_request_id: u64,
    /// Cumulative.
    pub signals: Signals,
    /// Observed values by size, cumulative, for the observations that the route names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spreads: BTreeMap<String, Spread>,
    /// Of the last rollout that it took part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Exposed>,
}

/// Outcomes that only the caller knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeObserved {
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// In the order in which they were posted.
    pub outcomes: Vec<Outcome>,
}

/// One outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The version that answered.
    pub version: Version,
    /// Such as `task_success`.
    pub metric: String,
    /// 0 or 1 for a rate.
    pub value: f64,
}
