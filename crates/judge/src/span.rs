//! Lengths of time as policies write them: `90s`, `30m`, `1h`, or a number of seconds.
//!
//! A span is whole milliseconds, never negative and at most ten years, so that sums of a few of them cannot overflow.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::scalar::{Scalar, excerpt};

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

/// A text or number that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad duration `{text}`: {why}; write `90s`, `30m` or `1h`")]
pub struct Error {
    text: String,
    why: String,
}

impl Span {
    /// The longest span that is accepted: ten years.
    pub const MAX: Self = Self::from_secs(3653 * 86_400);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds, signed for arithmetic with instants.
    #[must_use]
    pub fn ms(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// A span of that many seconds, a fraction allowed.
    ///
    /// # Errors
    /// If the number is negative, not finite or above ten years.
    pub fn from_secs_f64(seconds: f64) -> Result<Self, Error> {
        let refused = |why: &str| Error { text: seconds.to_string(), why: why.to_owned() };
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(refused("it must be 0 seconds or more"));
        }
        let ms = (seconds * 1000.0).round();
        if ms > Self::MAX.0 as f64 {
            return Err(refused("more than ten years"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 0 to ten years")]
        Ok(Self(ms as u64))
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: String| Error { text: excerpt(text), why };
        let duration = humantime::parse_duration(text.trim()).map_err(|cause| refused(cause.to_string()))?;
        match u64::try_from(duration.as_millis()) {
            Ok(ms) if ms <= Self::MAX.0 => Ok(Self(ms)),
            _ => Err(refused("more than ten years".to_owned())),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(Duration::from_millis(self.0)).fmt(out)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Scalar::deserialize(from)?.span().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
