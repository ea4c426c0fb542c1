//! What the sequential method goes by, every number filled in: part of [`crate::Resolved`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_e::Bad;
use crate::check::Action;
use crate::metric::SignalName;

/// The sequential gates of a policy, with what feeds them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Plan {
    /// The numbers that gates read; gates name them by index.
    pub channels: Vec<Channel>,
    /// One for each rule of a sequential check, in the policy's order.
    pub gates: Vec<Gate>,
    /// The dispersions that are estimated; gates name them by index.
    pub dispersions: Vec<Replicates>,
}

/// One way to read a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Channel {
    /// The signal.
    pub signal: SignalName,
    /// How it is read.
    pub view: View,
}

/// How a signal is read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Bad events out of all events.
    Events {
        /// Whether those that are *not* counted are the bad ones.
        complement: bool,
    },
    /// Events over an exposure in seconds times replicas: any number of them.
    Occurrences,
    /// Sums over values.
    Sums {
        /// Of counted events, whether those that are *not* counted are the ones.
        complement: bool,
        /// The bounds of the values, where they are stated: a tick whose sums lie beyond them is no evidence.
        bounds: Option<(f64, f64)>,
        /// Whether the source gives no squares: an upper bound stands for those, and detection is slower.
        squareless: bool,
    },
    /// Events by size.
    Histogram,
}

/// The stable series from which a dispersion is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replicates {
    /// The channel.
    pub channel: usize,
    /// Of a histogram, the gate above whose edge events are counted.
    pub gate: Option<usize>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Index of the rule among all rules of the policy.
    pub rule: usize,
    /// What it reads.
    pub channel: usize,
    /// How it is tested.
    pub test: Test,
    /// The limit; of a relative gate a factor on stable, such as 2.0 or 0.9.
    pub limit: f64,
    /// Of a relative gate the factor up to which the candidate is healthy.
    pub tolerance: Option<f64>,
    /// The largest share of bad events that never counts against a candidate, whatever stable has.
    pub floor: Option<f64>,
    /// Whether a broken absolute limit must be the candidate's own doing.
    pub attributed: bool,
    /// Its share of alpha; those of all gates that count sum to 1.
    pub weight: f64,
    /// By what its log e-values are divided.
    pub phi: Dispersed,
    /// What a breach leads to.
    pub action: Action,
    /// Fewest samples of the candidate in a step.
    pub min_samples: u64,
    /// Ticks without evidence until it is blind.
    pub max_blind_ticks: u32,
}

/// The test of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The candidate's rate or share against stable's (T1).
    Ratio,
    /// A share against its limit (T2).
    Share,
    /// Events per second against their limit (T5).
    Rate,
    /// A quantile against stable's (T1 above an edge).
    QuantileRatio {
        /// The quantile, 0 to 1.
        q: f64,
    },
    /// A quantile against its limit (T2 above an edge).
    Quantile {
        /// The quantile, 0 to 1.
        q: f64,
    },
    /// A mean against stable's (T3).
    MeanRatio(Items),
    /// A mean against its limit (T4).
    Mean(Items),
}

/// What is known of the items of a mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Items {
    /// Which direction is bad.
    pub bad: Bad,
    /// Their least possible value.
    pub lo: f64,
    /// Their largest possible value; absent if it is the cap at which their source cuts them.
    pub hi: Option<f64>,
    /// Whether they are 0 or 1.
    pub binary: bool,
}

/// The dispersion of a gate's counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dispersed {
    /// As stated.
    Stated(f64),
    /// Taken for granted, because nothing tells.
    Assumed(f64),
    /// Estimated from replicates, by their index.
    Estimated(usize),
}

impl Plan {
    /// Whether no check is judged by this method.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }
}

impl Gate {
    /// Whether it compares with the stable arm.
    #[must_use]
    pub const fn is_relative(&self) -> bool {
        matches!(self.test, Test::Ratio | Test::QuantileRatio { .. } | Test::MeanRatio(_))
    }
}

/// Shares of alpha from raw weights; 0 stays 0.
pub(crate) fn normalised(raw: &[f64]) -> Vec<f64> {
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
}

/// The factor up to which a candidate is healthy.
pub(crate) fn tolerance(limit: f64, sensitivity: f64) -> f64 {
    1.0 + sensitivity * (limit - 1.0)
}
