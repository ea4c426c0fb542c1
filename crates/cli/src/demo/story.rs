//! The stories: which versions there are, how they behave, and how it must end.

use modelsim::{Dials, Reach};
use rollout::Stage;

/// Requests per second for each model.
pub(super) const RATE_PER_SECOND: f64 = 200.0;
/// Sessions that the requests of a model are drawn from.
pub(super) const SESSIONS: u32 = 4_000;
/// The shipped preset that both are rolled out by.
pub(super) const POLICY: &str = "demo";
/// The version that serves.
pub(super) const STABLE: &str = "v1";
/// The version that is rolled out.
pub(super) const CANDIDATE: &str = "v2";

/// One version that is rolled out over another.
#[derive(Debug, Clone)]
pub(super) struct Story {
    /// `good`, `bad` or `hang`.
    pub(super) name: &'static str,
    /// The model's name.
    pub(super) model: &'static str,
    /// What the candidate is like, in words.
    pub(super) about: &'static str,
    /// What is asked of the model.
    pub(super) path: &'static str,
    /// How the candidate behaves.
    pub(super) candidate: Dials,
    /// The final stage that it must reach.
    pub(super) end: Stage,
}

impl Story {
    /// A little better in everything.
    pub(super) fn good() -> Self {
        Self {
            name: "good",
            model: "demo-good",
            about: "v2 is a little faster, cheaper and more truthful than v1",
            path: "/predict",
            candidate: Dials {
                latency_median_ms: 18.0,
                cost_usd_mean: 0.010,
                hallucination_rate: 0.002,
                ..Dials::default()
            },
            end: Stage::Completed,
        }
    }

    /// Slow and expensive.
    ///
    /// Its answers are streams: they begin at once and take their time, so that an answer which begins after the rollback
    /// is one that was routed after it, and not one that was merely slow to begin.
    pub(super) fn bad() -> Self {
        Self {
            name: "bad",
            model: "demo-bad",
            about: "v2 takes 4 to 7 seconds for an answer and costs 0.15 USD instead of 0.012",
            path: "/predict/stream",
            candidate: Dials {
                latency_median_ms: 4_500.0,
                latency_sigma: 0.05,
                slow_share: 0.4,
                slow_median_ms: 5_800.0,
                cost_usd_mean: 0.15,
                cost_usd_spread: 0.1,
                hallucination_rate: 0.01,
                ..Dials::default()
            },
            end: Stage::RolledBack,
        }
    }

    /// Healthy to whoever asks for its health, and silent to everybody else.
    pub(super) fn hang() -> Self {
        Self {
            name: "hang",
            model: "demo-hang",
            about: "v2 is healthy and takes every request, and never answers one",
            path: "/predict",
            candidate: Dials { hang: Reach::Predictions, ..Dials::default() },
            end: Stage::RolledBack,
        }
    }

    /// Whether the candidate never answers: then only the age of its requests tells.
    pub(super) fn is_silent(&self) -> bool {
        self.candidate.hang != Reach::Off
    }

    /// Whether the candidate's answers end soon after they begin, so that counting ends is counting beginnings.
    pub(super) fn is_quick(&self) -> bool {
        self.candidate.latency_median_ms < 1_000.0 && !self.is_silent()
    }

    /// How the version behaves that serves already.
    pub(super) fn stable() -> Dials {
        Dials {
            latency_median_ms: 25.0,
            cost_usd_mean: 0.012,
            hallucination_rate: 0.01,
            error_rate: 0.002,
            ..Dials::default()
        }
    }
}
