//! What is assumed: how many requests, and what answers are like in each arm.

use std::collections::BTreeMap;

/// The traffic of a model, and what its version that serves now answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Requests a second, of all versions together.
    pub requests_per_second: f64,
    /// Share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// Median time of an answer, in milliseconds.
    pub latency_median_ms: f64,
    /// Spread of its logarithm: 0.6 makes the p95 2.7 times the median.
    pub latency_sigma: f64,
    /// Share of requests of which observations come, 0 to 1.
    pub observed_share: f64,
    /// What is observed, by name.
    pub observed: BTreeMap<String, Items>,
}

/// What an observation's values are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Items {
    /// Their mean; of zeros and ones the share of ones.
    pub mean: f64,
    /// Their standard deviation; absent for zeros and ones.
    pub sd: Option<f64>,
}

/// What is different about the candidate: factors, 1 for no difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// On the share of requests that fail.
    pub errors: f64,
    /// On the time of every answer.
    pub latency: f64,
    /// On the mean of observations, by name.
    pub observed: BTreeMap<String, f64>,
}

impl Items {
    /// Whether they look like scores, which are at most 1.
    pub(crate) fn is_score(self) -> bool {
        self.sd.is_some_and(|sd| self.mean <= 1.0 && self.mean + sd > 0.5)
    }
}

impl Default for Traffic {
    /// A hundred requests a second, 1 % failures, 800 ms, observations of one request in ten.
    fn default() -> Self {
        Self {
            requests_per_second: 100.0,
            error_rate: 0.01,
            latency_median_ms: 800.0,
            latency_sigma: 0.6,
            observed_share: 0.1,
            observed: BTreeMap::new(),
        }
    }
}

impl Default for Effect {
    fn default() -> Self {
        Self { errors: 1.0, latency: 1.0, observed: BTreeMap::new() }
    }
}

impl Traffic {
    /// What an observation is like: as it was said, or by what its name promises. Shares of bad things are 5 %, of successes 95 %,
    /// scores 0.85 with a spread of 0.12, dollars 0.02 with as much spread.
    #[must_use]
    pub fn items(&self, name: &str, is_share: bool) -> Items {
        if let Some(items) = self.observed.get(name) {
            return *items;
        }
        let is_good = name.contains("success");
        match (is_share, name.contains("cost")) {
            (true, _) => Items { mean: if is_good { 0.95 } else { 0.05 }, sd: None },
            (false, true) => Items { mean: 0.02, sd: Some(0.02) },
            (false, false) => Items { mean: 0.85, sd: Some(0.12) },
        }
    }

    /// The same traffic with the answers of a candidate.
    #[must_use]
    pub fn with(&self, effect: &Effect) -> Self {
        Self {
            error_rate: (self.error_rate * effect.errors).clamp(0.0, 1.0),
            latency_median_ms: self.latency_median_ms * effect.latency,
            ..self.clone()
        }
    }
}
