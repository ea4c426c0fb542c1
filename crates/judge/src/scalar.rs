//! One text or number of a policy, before its meaning is known. YAML writes both without quotes, so most fields accept either.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::span::{self, Span};

/// Longest piece of foreign text that an error repeats, in characters.
const EXCERPT_CHARS: usize = 40;

/// A text or a number.
pub(crate) enum Scalar {
    Text(String),
    Number(f64),
}

impl Scalar {
    /// The scalar as a length of time; a number counts seconds.
    pub(crate) fn span(&self) -> Result<Span, span::Error> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Number(seconds) => Span::from_secs_f64(*seconds),
        }
    }

    /// Whether this is exactly the given word.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Text(text) if text.trim() == word)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number or a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }
}

/// The beginning of a foreign text, short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}
