//! A number of a rule together with the way the policy wrote it, because messages repeat it as it was written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::scalar::{Scalar, excerpt};

/// Longest text of a limit, in bytes: no f64 needs more.
const TEXT_BYTES_MAX: usize = 32;

/// A limit: its value and its text. Written as a number (`0.1`, shown in its shortest form) or in quotes (`"0.10"`, shown so).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limit {
    /// The number.
    pub value: f64,
    /// The number as the policy wrote it.
    pub text: String,
}

/// The value up to which a relative increase is harmless.
#[derive(Debug, Clone, PartialEq)]
pub enum Floor {
    /// No floor, said so explicitly.
    None,
    /// Values up to this one pass.
    At(Limit),
}

impl Limit {
    /// A limit from a text.
    ///
    /// # Errors
    /// If the text is no number; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(value) if text.len() <= TEXT_BYTES_MAX => Ok(Self { value, text: text.to_owned() }),
            _ => Err(format!("bad number `{}`: write one such as 0.05", excerpt(text))),
        }
    }

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Text(text) => Self::parse(text),
            Scalar::Number(value) => Ok(Self::from(*value)),
        }
    }
}

impl From<f64> for Limit {
    fn from(value: f64) -> Self {
        Self { value, text: shortest(value) }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if self.value.is_finite() && self.text == shortest(self.value) {
            out.serialize_f64(self.value)
        } else {
            out.serialize_str(&self.text)
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_scalar(&Scalar::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Serialize for Floor {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => out.serialize_str("none"),
            Self::At(limit) => limit.serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for Floor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(from)?;
        if scalar.is_word("none") {
            return Ok(Self::None);
        }
        Limit::from_scalar(&scalar).map(Self::At).map_err(de::Error::custom)
    }
}

/// The shortest text that reads back as the same number; with an exponent where digits would be mostly zeros.
pub(crate) fn shortest(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-5..1e16).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}
