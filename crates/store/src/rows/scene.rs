//! What a step reads before it decides.

use rollout::{INCARNATION, Rollout, RolloutId, Route, Stage};

/// A live rollout of a model, as others see it.
pub type Live = (RolloutId, Stage);

/// What a step finds at a model beside the rollout that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The wished route.
    pub route: Option<Route>,
    /// Another live rollout.
    pub live: Option<Live>,
    /// How often the database was restored.
    pub incarnation: i64,
}

impl Place {
    /// The generation that the next route has to exceed.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.route_generation().max(self.incarnation.saturating_mul(INCARNATION))
    }

    /// That of the wished route; 0 without one.
    #[must_use]
    pub fn route_generation(&self) -> i64 {
        self.route.as_ref().map_or(0, |route| route.generation)
    }
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
