//! What a step reads before it decides.

use rollout::{Rollout, RolloutId, Route, Stage};

/// A live rollout of a model, as others see it.
pub type Live = (RolloutId, Stage);

/// What a step finds at a model beside the rollout that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The wished route.
    pub route: Option<Route>,
    /// Another live rollout.
    pub live: Option<Live>,
}

/// A rollout with all that a step sees beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The row.
    pub rollout: Rollout,
    /// Drawn for it.
    pub salt: String,
    /// What is at its model.
    pub place: Place,
}
