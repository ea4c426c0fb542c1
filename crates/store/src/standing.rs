//! Where rollouts stand, for those who only look.

use rollout::{Model, RolloutId, Stage, Tenant, Version};

/// A rollout that is not over, without its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Which.
    pub rollout_id: RolloutId,
    /// Whose model.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version that is rolled out.
    pub candidate: Version,
    /// The version before it.
    pub previous: Option<Version>,
    /// Where it stands.
    pub stage: Stage,
    /// The step that the stage belongs to.
    pub step: u32,
    /// Answers of candidate and stable in the last tick of its analysis.
    pub answers: Option<(f64, f64)>,
}
