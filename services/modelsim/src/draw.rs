//! What one prediction will be like, drawn from the dials before anything happens.
//!
//! The numbers are drawn in a fixed order whatever the dials say, so turning one dial changes nothing else.

use std::time::Duration;

use crate::chance::Chance;
use crate::dials::{Dials, LATENCY_MS_MAX};

const CONFIDENCE_SPREAD: f64 = 0.04;

/// The fate of one prediction.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) latency: Duration,
    pub(crate) is_failure: bool,
    pub(crate) is_hallucination: bool,
    pub(crate) cost_usd: f64,
    pub(crate) quality: f64,
    pub(crate) confidence: f64,
}

impl Draw {
    pub(crate) fn new(dials: &Dials, chance: &mut Chance) -> Self {
        let median_ms = if chance.happens(dials.slow_share) { dials.slow_median_ms } else { dials.latency_median_ms };
        let latency_ms = median_ms * (dials.latency_sigma * chance.normal()).exp();
        Self {
            latency: Duration::from_secs_f64(latency_ms.clamp(0.0, LATENCY_MS_MAX) / 1_000.0),
            is_failure: chance.happens(dials.error_rate),
            is_hallucination: chance.happens(dials.hallucination_rate),
            cost_usd: chance.around(dials.cost_usd_mean, dials.cost_usd_mean * dials.cost_usd_spread),
            quality: chance.around(dials.quality_mean, dials.quality_spread).clamp(0.0, 1.0),
            confidence: chance.around(dials.confidence_mean, CONFIDENCE_SPREAD).clamp(0.0, 1.0),
        }
    }

    /// The value of `x-tidegate-observe`: what the router counts for this version.
    pub(crate) fn observations(&self) -> String {
        let hallucination = u8::from(self.is_hallucination);
        let (cost_usd, quality) = (rounded(self.cost_usd), rounded(self.quality));
        format!("cost_usd={cost_usd}, hallucination={hallucination}, quality={quality}")
    }
}

/// Six places: enough for a thousandth of a cent, and short to read.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
