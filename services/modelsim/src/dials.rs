//! What can be set about a simulated model, its limits, and how a partial change is read.
//!
//! A change is all or nothing, and a refusal names the dial that it is about.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest latency that can be set or drawn; longer than any time limit that a policy would use.
pub(crate) const LATENCY_MS_MAX: f64 = 600_000.0;
const SLOW_START_MS_MAX: u64 = 3_600_000;
const COST_USD_MAX: f64 = 1_000_000.0;
const SIGMA_MAX: f64 = 3.0;
const VERSION_BYTES_MAX: usize = 128;

/// How a simulated model behaves. Shares and rates go from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dials {
    /// Median of the latency, which is lognormal.
    pub latency_median_ms: f64,
    /// Sigma of the lognormal latency; 0 makes it constant. With 0.2 the p95 is 1.39 times the median.
    pub latency_sigma: f64,
    /// Share of predictions whose latency comes from a second, slow mode.
    pub slow_share: f64,
    /// Median latency of the slow mode.
    pub slow_median_ms: f64,
    /// Share of predictions answered with 500.
    pub error_rate: f64,
    /// Share of good answers that declare `hallucination=1`.
    pub hallucination_rate: f64,
    /// Mean cost of a prediction.
    pub cost_usd_mean: f64,
    /// Half-width of the cost around its mean, as a share of the mean.
    pub cost_usd_spread: f64,
    /// Mean quality declared with a good answer.
    pub quality_mean: f64,
    /// Half-width of the quality around its mean; results are kept within 0 to 1.
    pub quality_spread: f64,
    /// Mean confidence of a prediction.
    pub confidence_mean: f64,
    /// The model cannot be loaded: `/health` answers 503 with `model_loaded: false`, predictions 503.
    pub load_failure: bool,
    /// How long loading takes. Loading begins at the start, and again when this or `load_failure` is turned.
    pub slow_start_ms: u64,
    /// The version to report instead of the true one: a wrong version.
    pub reported_version: Option<String>,
    /// Requests that are accepted and never answered.
    pub hang: Reach,
    /// Requests that are answered with bytes that are not HTTP.
    pub garbage: Reach,
}

/// Which requests a fault reaches. `/dials` is never reached, so that every fault can be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// None.
    #[default]
    Off,
    /// Only `/predict` and the paths below it; health stays good.
    Predictions,
    /// Every request but `/dials`.
    Everything,
}

/// Why a change of dials was not made; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dial `{field}` {reason}")]
pub struct Refusal {
    /// The dial that is unknown or has a bad value.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Default for Dials {
    fn default() -> Self {
        Self {
            latency_median_ms: 20.0,
            latency_sigma: 0.2,
            slow_share: 0.0,
            slow_median_ms: 0.0,
            error_rate: 0.0,
            hallucination_rate: 0.0,
            cost_usd_mean: 0.01,
            cost_usd_spread: 0.2,
            quality_mean: 0.9,
            quality_spread: 0.05,
            confidence_mean: 0.9,
            load_failure: false,
            slow_start_ms: 0,
            reported_version: None,
            hang: Reach::Off,
            garbage: Reach::Off,
        }
    }
}

impl Dials {
    /// These dials with a JSON object of changes laid over them.
    pub fn changed_by(&self, patch: &Value) -> Result<Self, Refusal> {
        let Value::Object(changes) = patch else {
            return Err(Refusal::new("*", "cannot be read: the body must be a JSON object"));
        };
        let mut fields = serde_json::to_value(self).expect("dials have text keys and finite numbers");
        for (name, value) in changes {
            if fields.get(name).is_none() {
                return Err(Refusal::new(name, &format!("does not exist; there are {}", names(&fields))));
            }
            fields[name] = value.clone();
            // Reading after each change is what lets the refusal name the dial.
            Self::deserialize(&fields).map_err(|cause| Refusal::new(name, &format!("cannot take this: {cause}")))?;
        }
        let dials = Self::deserialize(&fields).map_err(|cause| Refusal::new("*", &cause.to_string()))?;
        dials.check()?;
        Ok(dials)
    }

    /// Refuses values outside their limits, naming the first such dial.
    pub fn check(&self) -> Result<(), Refusal> {
        let limits = [
            ("latency_median_ms", self.latency_median_ms, LATENCY_MS_MAX),
            ("latency_sigma", self.latency_sigma, SIGMA_MAX),
            ("slow_share", self.slow_share, 1.0),
            ("slow_median_ms", self.slow_median_ms, LATENCY_MS_MAX),
            ("error_rate", self.error_rate, 1.0),
            ("hallucination_rate", self.hallucination_rate, 1.0),
            ("cost_usd_mean", self.cost_usd_mean, COST_USD_MAX),
            ("cost_usd_spread", self.cost_usd_spread, 1.0),
            ("quality_mean", self.quality_mean, 1.0),
            ("quality_spread", self.quality_spread, 1.0),
            ("confidence_mean", self.confidence_mean, 1.0),
        ];
        for (name, value, most) in limits {
            if !(0.0..=most).contains(&value) {
                return Err(Refusal::new(name, &format!("must be from 0 to {most}, not {value}")));
            }
        }
        if self.slow_start_ms > SLOW_START_MS_MAX {
            return Err(Refusal::new("slow_start_ms", &format!("must be at most {SLOW_START_MS_MAX}")));
        }
        match &self.reported_version {
            Some(version) if version.is_empty() || version.len() > VERSION_BYTES_MAX => {
                Err(Refusal::new("reported_version", &format!("must have 1 to {VERSION_BYTES_MAX} bytes")))
            }
            _ => Ok(()),
        }
    }
}

impl Refusal {
    fn new(field: &str, reason: &str) -> Self {
        Self { field: field.to_owned(), reason: reason.to_owned() }
    }
}

fn names(fields: &Value) -> String {
    let names = fields.as_object().into_iter().flat_map(|fields| fields.keys());
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
