//! How the objectives of a rollout stand.

use judge::Objective;
use judge::slo::Standing;
use rollout::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one objective stands in one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SloView {
    /// Whose it is.
    pub version: Version,
    /// What is expected.
    pub objective: Objective,
    /// What it came to.
    pub standing: Standing,
}
