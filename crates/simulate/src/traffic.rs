//! What is assumed: how many requests, and what answers are like in each arm.

use std::collections::BTreeMap;

use judge::Metric;
use libm::pow;

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
    /// Share of requests that are judged, 0 to 1; averages are of all requests.
    pub observed_share: f64,
    /// What is observed, by name.
    pub observed: BTreeMap<String, Items>,
    /// What befalls both arms alike.
    pub weather: Weather,
    /// The pods that serve it, if those are told apart.
    pub pods: Option<Pods>,
}

/// What befalls both arms alike, each five minutes anew; by default nothing does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weather {
    /// What everything is like at the height of a wave of two hours; at its low it is the inverse.
    pub swing: Effect,
    /// What everything is like in an outage.
    pub outage: Effect,
    /// Share of the time that is one, 0 to 1.
    pub outages: f64,
}

/// Replicas of a version. Requests are spread over them evenly, and each has better and worse minutes of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pods {
    /// Requests a second that one takes.
    pub requests_per_second: f64,
    /// Standard deviation of the factor on its failures, which is drawn anew each minute.
    pub errors_sd: f64,
    /// Standard deviation of the logarithm of the factor on the time of its answers, likewise.
    pub latency_sd: f64,
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
    /// The mean of their squares.
    pub(crate) fn mean_square(self) -> f64 {
        self.sd.map_or(self.mean, |sd| self.mean * self.mean + sd * sd)
    }

    /// Whether they look like scores, which are at most 1.
    pub(crate) fn is_score(self) -> bool {
        self.sd.is_some_and(|sd| self.mean <= 1.0 && self.mean + sd > 0.5)
    }
}

impl Default for Traffic {
    /// A hundred requests a second, 1 % failures, 800 ms, one request in ten judged.
    fn default() -> Self {
        Self {
            requests_per_second: 100.0,
            error_rate: 0.01,
            latency_median_ms: 800.0,
            latency_sigma: 0.6,
            observed_share: 0.1,
            observed: BTreeMap::new(),
            weather: Weather::default(),
            pods: None,
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

    /// Of how many requests a metric's items come, 0 to 1.
    #[must_use]
    pub fn share_of(&self, kind: &Metric) -> f64 {
        if kind.is_judged() { self.observed_share } else { 1.0 }
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

impl Effect {
    /// Both at once.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut observed = self.observed.clone();
        for (name, factor) in &other.observed {
            *observed.entry(name.clone()).or_insert(1.0) *= factor;
        }
        Self { errors: self.errors * other.errors, latency: self.latency * other.latency, observed }
    }

    /// So much of it: 1 for all, 0 for nothing, -1 for the inverse.
    #[must_use]
    pub fn times(&self, much: f64) -> Self {
        let observed = self.observed.iter().map(|(name, factor)| (name.clone(), pow(*factor, much)));
        Self { errors: pow(self.errors, much), latency: pow(self.latency, much), observed: observed.collect() }
    }
}
