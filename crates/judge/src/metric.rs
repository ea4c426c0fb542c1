//! What a metric's name means: which signal feeds it and how a value comes out of that.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::excerpt;

/// How the signals of observations begin.
const OBSERVED: &str = "o:";

/// How the signals of observations by size begin.
const SPREAD: &str = "s:";

/// Longest name of a metric or observation, in characters.
const NAME_CHARS_MAX: usize = 63;

/// The key of a signal: `error`, `latency`, `ttft`, `new_sessions`, `o:<name>` for an observation (`s:<name>` for its
/// values by size), or `q:<metric>` for a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SignalName(pub String);

/// A metric, read from its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// A share of events: `error_rate`, `request_success_rate`, `<name>_rate`.
    Proportion {
        /// The signal that counts.
        signal: SignalName,
        /// Whether the share of the events *not* counted is meant.
        complement: bool,
    },
    /// A quantile of a histogram: `p50` to `p99` of `_latency_ms` or `_ttft_ms`.
    Quantile {
        /// The histogram.
        signal: SignalName,
        /// Percent, 50 to 99.
        percent: u8,
    },
    /// The mean of an observation: `avg_<name>` or `<name>`.
    Mean {
        /// The observation.
        signal: SignalName,
        /// Whether the name says that it is an average of requests.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_average: bool,
    },
    /// Events in a second of a scraped target, which are no share of anything. Of queries only.
    Rate {
        /// The counter, with the time it was watched as its exposure.
        signal: SignalName,
    },
    /// One number that a query gives, with nothing said about what it is based on.
    Gauge {
        /// The query.
        signal: SignalName,
    },
}

impl SignalName {
    /// Failed requests over all requests.
    #[must_use]
    pub fn error() -> Self {
        Self("error".to_owned())
    }

    /// Time to the end of the answer, in milliseconds.
    #[must_use]
    pub fn latency() -> Self {
        Self("latency".to_owned())
    }

    /// Time to the first byte of the answer, in milliseconds.
    #[must_use]
    pub fn ttft() -> Self {
        Self("ttft".to_owned())
    }

    /// Sessions that a router sees for the first time in a rollout. They judge no version: they tell whether users get the share of
    /// the candidate that was asked for.
    #[must_use]
    pub fn new_sessions() -> Self {
        Self("new_sessions".to_owned())
    }

    /// An observation, named as responses and callers name it.
    #[must_use]
    pub fn observation(name: &str) -> Self {
        Self(format!("{OBSERVED}{name}"))
    }

    /// The name of the observation, if it is one.
    #[must_use]
    pub fn observed(&self) -> Option<&str> {
        self.0.strip_prefix(OBSERVED)
    }

    /// The values of an observation by size, beside their sums: what they can be cut from.
    #[must_use]
    pub fn spread(name: &str) -> Self {
        Self(format!("{SPREAD}{name}"))
    }

    /// Whether these are values by size.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        self.0.starts_with(SPREAD)
    }

    /// What the query of a metric counts.
    #[must_use]
    pub fn query(metric: &str) -> Self {
        Self(format!("q:{metric}"))
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Metric {
    /// Reads a metric's name.
    ///
    /// # Errors
    /// If it cannot be a name, or names a quantile that is not kept; the error is a sentence.
    pub fn parse(name: &str) -> Result<Self, String> {
        check_name(name)?;
        match name {
            "error_rate" => return Ok(Self::Proportion { signal: SignalName::error(), complement: false }),
            "request_success_rate" => return Ok(Self::Proportion { signal: SignalName::error(), complement: true }),
            _ => {}
        }
        for (ending, signal) in [("_latency_ms", SignalName::latency()), ("_ttft_ms", SignalName::ttft())] {
            if let Some(percent) = name.strip_suffix(ending).and_then(|head| head.strip_prefix('p'))
                && percent.bytes().next().is_some_and(|first| first.is_ascii_digit())
            {
                let percent = percent.parse().ok().filter(|percent| (50..=99).contains(percent));
                return percent
                    .map(|percent| Self::Quantile { signal, percent })
                    .ok_or_else(|| format!("no such quantile `{name}`: write p50{ending} to p99{ending}"));
            }
        }
        Ok(Self::of_observation(name))
    }

    /// Whether items are judged apart from requests, and often later: shares and scores that are observed. Averages (`avg_…`) are of
    /// requests, as failures and latencies are.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        match self {
            Self::Proportion { signal, .. } => signal.0.starts_with(OBSERVED),
            Self::Mean { signal, is_average } => signal.0.starts_with(OBSERVED) && !is_average,
            Self::Quantile { .. } | Self::Rate { .. } | Self::Gauge { .. } => false,
        }
    }

    /// The signal that feeds the metric.
    #[must_use]
    pub const fn signal(&self) -> &SignalName {
        match self {
            Self::Proportion { signal, .. }
            | Self::Quantile { signal, .. }
            | Self::Mean { signal, .. }
            | Self::Rate { signal }
            | Self::Gauge { signal } => signal,
        }
    }

    fn of_observation(name: &str) -> Self {
        if let Some(share) = name.strip_suffix("_rate") {
            return Self::Proportion { signal: SignalName::observation(share), complement: false };
        }
        let average = name.strip_prefix("avg_").filter(|rest| is_name(rest));
        Self::Mean { signal: SignalName::observation(average.unwrap_or(name)), is_average: average.is_some() }
    }
}

/// Whether a text can name a metric; the error is a sentence.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if is_name(name) {
        return Ok(());
    }
    Err(format!(
        "bad metric name `{}`: write small letters, digits and `_`, at most {NAME_CHARS_MAX}, a letter first",
        excerpt(name)
    ))
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
