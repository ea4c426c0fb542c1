//! What a plan says about judging as a whole, and the shape of its steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::slo::Slo;
use crate::span::Span;

/// The per-plan fields, each absent where the policy says nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Sequential: probability of a false breach in the whole rollout.
    pub alpha: Option<f64>,
    /// Sequential: probability that a candidate at its limit is proved healthy in a step.
    pub beta: Option<f64>,
    /// Length of a tick, 5 s to 5 min.
    pub tick: Option<Span>,
    /// Time at the start of each step that is not judged.
    pub warmup: Option<Span>,
    /// How long a step may go on after its dwell without a pass.
    pub inconclusive_budget: Option<Span>,
    /// What happens when that budget is spent.
    pub on_inconclusive: Option<OnInconclusive>,
    /// What a degraded check leads to.
    pub on_degraded: Option<OnDegraded>,
    /// Earliest promotion of a step that passes.
    pub min_dwell: Option<Span>,
    /// Rollouts of the same version that may be tried in a day.
    pub retries_per_day: Option<u32>,
    /// What relative rules compare with while stable has no traffic, unless a check says otherwise.
    pub baseline: Option<Baseline>,
    /// What users may expect; it never takes a version back.
    pub slos: Option<Vec<Slo>>,
}

/// One step of a plan, as far as judging goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepShape {
    /// How long the step runs.
    pub dwell: Span,
    /// The candidate's share of the traffic, 0 to 1.
    pub share: f64,
}

impl StepShape {
    /// Whether the step leaves traffic to the stable arm.
    #[must_use]
    pub fn stable_planned(self) -> bool {
        self.share < 1.0
    }
}

/// What happens to a step that could not be decided in its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// The candidate goes back.
    #[default]
    Rollback,
    /// The step goes on.
    Hold,
    /// A person decides.
    Gate,
}

/// What a degraded check leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDegraded {
    /// It counts as healthy.
    #[default]
    Continue,
    /// The candidate goes back.
    Rollback,
    /// It does not advance.
    Hold,
}

/// What relative rules compare with in a step that leaves stable no traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// With nothing: they do not apply.
    #[default]
    None,
    /// With the hour before the rollout; a breach then holds.
    Fallback,
}
