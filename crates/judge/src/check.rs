//! A check exactly as a policy writes it: one metric, its rules, and how they are judged.
//!
//! Nothing is filled in and little is refused here (unknown fields, words that are no choice, texts that are no number);
//! [`crate::resolve()`] finds everything else, all problems at once.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::query::Query;
use crate::scalar::{Scalar, excerpt};
use crate::settings::Baseline;
use crate::span::Span;

pub mod limit;
pub mod rules;

pub use limit::{Floor, Limit};
pub use rules::{Attribution, Comparator, RuleName, RuleSet, Rules};

/// One check of a policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// The rules of a check may be those of the policy's class.
#[schemars(extend("required" = ["metric"]))]
pub struct Check {
    /// The metric's name, such as `error_rate` or `p95_latency_ms`.
    pub metric: String,
    /// Where its numbers come from, if the router does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// The limits: one map, or a list of maps.
    pub rules: Rules,
    /// How the rules are judged; absent means sequential, unless a field of the threshold method is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// What a breach leads to.
    #[serde(default)]
    pub action: Action,
    /// Fewest samples in an arm before a rule is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// Time between two rounds of the threshold method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How far back a round of the threshold method looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Failed rounds that make a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<u32>,
    /// Which failed rounds are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<FailureMode>,
    /// Rules of one group share a counter of failed rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_group: Option<String>,
    /// How long evidence may be missing before that is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blind: Option<Span>,
    /// Smallest possible value of a mean's items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<Limit>,
    /// Largest possible value of a mean's items; without it they are cut, at ten times stable's mean or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<Limit>,
    /// Sequential: where between 1 and the limit the tolerance lies, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<f64>,
    /// Sequential: the dispersion, estimated or stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phi: Option<Phi>,
    /// What relative rules compare with while stable has no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The model that judges the items, if one does, and how far it can be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<Grader>,
}

/// A model that judges answers, and how often people agreed with it. Without both numbers its check is reported only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grader {
    /// Its name and version, the same for both arms.
    pub name: String,
    /// The share of items on which it and people agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// How many items that were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

impl Grader {
    /// Whether it is known how far it can be trusted.
    #[must_use]
    pub const fn is_calibrated(&self) -> bool {
        self.agreement.is_some() && self.n.is_some()
    }
}

/// How rules are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Compare the value of a window with the limit, in rounds.
    #[default]
    Threshold,
    /// Accumulate evidence over the whole rollout.
    Sequential,
}

/// What a breach of a check leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The candidate goes back at once.
    #[default]
    Rollback,
    /// Promotion is blocked.
    Hold,
    /// A person decides.
    Gate,
    /// It is listed and never acted on.
    Report,
}

/// Which failed rounds are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    /// Rounds in a row; a passing round and a new step start anew.
    #[default]
    Consecutive,
    /// All rounds of the rollout.
    Total,
}

/// How far back a round looks. Ordered by length, the whole step last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// This much time before the newest tick's end, never before the step.
    Last(Span),
    /// The whole step.
    Step,
}

/// Sequential: the dispersion of counts relative to independent ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phi {
    /// Estimated from the series of the stable arm.
    Auto,
    /// Stated, at least 1.
    Fixed(f64),
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Step => out.serialize_str("step"),
            Self::Last(span) => span.serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(from)?;
        if scalar.is_word("step") {
            return Ok(Self::Step);
        }
        scalar
            .span()
            .map(Self::Last)
            .map_err(|cause| de::Error::custom(format!("{cause}, or `step` for the whole step")))
    }
}

impl Serialize for Phi {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => out.serialize_str("auto"),
            Self::Fixed(phi) => out.serialize_f64(*phi),
        }
    }
}

impl<'de> Deserialize<'de> for Phi {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(from)? {
            Scalar::Number(phi) => Ok(Self::Fixed(phi)),
            Scalar::Text(word) if word.trim() == "auto" => Ok(Self::Auto),
            Scalar::Text(word) => {
                Err(de::Error::custom(format!("bad phi `{}`: write `auto` or a number", excerpt(&word))))
            }
        }
    }
}

#[cfg(test)]
mod tests;
