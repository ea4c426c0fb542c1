//! Instants at the border: RFC 3339 in UTC.

use judge::written_as;
use rollout::At;
use serde::{Deserialize, Deserializer, Serialize as _, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The instant as RFC 3339 text in UTC, with milliseconds.
#[must_use]
pub fn text(at: At) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|instant| instant.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}

/// The instant of an RFC 3339 text; what is finer than a millisecond is cut.
#[must_use]
pub fn parse(text: &str) -> Option<At> {
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    i64::try_from(nanoseconds.div_euclid(1_000_000)).ok().map(At)
}

/// Serde and schema of an instant as RFC 3339 text, for `#[serde(with)]`.
#[expect(non_camel_case_types, reason = "it stands where serde wants a path of functions and schemars a type")]
#[derive(Debug)]
pub struct rfc3339;

written_as!(rfc3339, "Instant", {
    "description": "An instant in UTC, such as 2026-01-31T12:00:00Z.", "type": "string", "format": "date-time"
});

impl rfc3339 {
    /// Writes the text.
    ///
    /// # Errors
    /// What the serializer refuses.
    pub fn serialize<S: Serializer>(at: &At, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*at))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is no instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<At, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{}` is no instant such as 2026-01-31T12:00:00Z", text.escape_default()))
        })
    }
}

/// Serde and schema of an instant that may be absent.
#[expect(non_camel_case_types, reason = "it stands where serde wants a path of functions and schemars a type")]
#[derive(Debug)]
pub struct rfc3339_option;

written_as!(rfc3339_option, "InstantOrNull", {
    "description": "An instant in UTC, such as 2026-01-31T12:00:00Z.", "type": ["string", "null"], "format": "date-time"
});

impl rfc3339_option {
    /// Writes the text, or null.
    ///
    /// # Errors
    /// What the serializer refuses.
    pub fn serialize<S: Serializer>(at: &Option<At>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(text).serialize(serializer)
    }

    /// Reads the text, or null.
    ///
    /// # Errors
    /// When it is no instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At>, D::Error> {
        #[derive(Deserialize)]
        struct Instant(#[serde(with = "rfc3339")] At);
        Ok(Option::<Instant>::deserialize(deserializer)?.map(|instant| instant.0))
    }
}
