//! CloudEvents 1.0.2 in JSON: the structured mode that we emit, and the binary mode that we also accept.

use std::collections::BTreeMap;

use rollout::At;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::instant;

/// Largest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 65_536;
/// Longest id of our own, in bytes; ids from outside may be longer and are forwarded as a digest.
const ID_BYTES_MAX: usize = 512;
/// Deepest nesting of a message.
const DEPTH_MAX: usize = 32;
/// Sources of our own, which nobody else speaks for.
const OURS: &str = "/tidegate/";

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within its source.
    pub id: String,
    /// Who said it.
    pub source: String,
    /// `dev.tidegate.<noun>.<verb>.v1`.
    pub kind: String,
    /// When it happened.
    pub time: Option<At>,
    /// What it is about, in the words of its source.
    pub subject: Option<String>,
    /// Whose.
    pub tenant: Option<String>,
    /// The rollout that it belongs to.
    pub rollout_id: Option<String>,
    /// The attempt that it answers.
    pub attempt: Option<i64>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace state.
    pub tracestate: Option<String>,
    /// The payload.
    pub data: Value,
}

/// An envelope that can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too many bytes.
    #[error("the message has {0} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON, or not the JSON that it must be.
    #[error("the message is not good JSON: {0}")]
    Json(String),
    /// The payload beside the attributes is not that.
    #[error("`data` is not good JSON: {0}")]
    Data(String),
    /// An attribute is missing.
    #[error("the attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute is not what it must be.
    #[error("the attribute `{0}` is not {1}")]
    Attribute(&'static str, &'static str),
}

impl Event {
    /// Reads an event in either mode: structured when the content type begins with `application/cloudevents`, else binary. A
    /// message without any header of an event is structured too: so it stands in an outbox, and so people send it by hand.
    /// Header names are in lower case.
    ///
    /// # Errors
    /// [`Malformed`], naming what is wrong.
    pub fn read(headers: &BTreeMap<String, String>, body: &[u8]) -> Result<Self, Malformed> {
        let content_type = headers.get("content-type").map(|text| text.to_ascii_lowercase());
        let is_structured = match content_type {
            Some(media) => media.starts_with("application/cloudevents"),
            None => !headers.keys().any(|name| name.starts_with("ce-")),
        };
        if is_structured { Self::structured(body) } else { Self::binary(headers, body) }
    }

    /// Reads an event in structured mode.
    ///
    /// # Errors
    /// [`Malformed`], naming what is wrong.
    pub fn structured(body: &[u8]) -> Result<Self, Malformed> {
        Self::in_json(json(body)?)
    }

    /// Reads the events of a batch, each for itself.
    ///
    /// # Errors
    /// [`Malformed`] when it is no batch.
    pub fn batch(body: &[u8]) -> Result<Vec<Result<Self, Malformed>>, Malformed> {
        match json(body)? {
            Value::Array(events) => Ok(events.into_iter().map(Self::in_json).collect()),
            _ => Err(Malformed::Json("a batch is a list of events".to_owned())),
        }
    }

    fn in_json(event: Value) -> Result<Self, Malformed> {
        let Value::Object(mut fields) = event else {
            return Err(Malformed::Json("an event is an object".to_owned()));
        };
        let data = match (fields.remove("data"), fields.remove("data_base64")) {
            (Some(data), _) => data,
            (None, Some(Value::String(text))) => json(&base64_bytes(&text)?).map_err(of_data)?,
            (None, Some(_)) => return Err(Malformed::Attribute("data_base64", "a text")),
            (None, None) => Value::Null,
        };
        let attributes = Attributes::Json(&fields);
        attributes.in_json()?;
        Self::of(&attributes, data)
    }

    /// Reads an event in binary mode: attributes as `ce-` headers, percent-encoded; the body is the payload.
    ///
    /// # Errors
    /// [`Malformed`], naming what is wrong.
    pub fn binary(headers: &BTreeMap<String, String>, body: &[u8]) -> Result<Self, Malformed> {
        let attributes = Attributes::Headers(headers);
        attributes.in_json()?;
        let data = if body.is_empty() { Value::Null } else { json(body).map_err(of_data)? };
        Self::of(&attributes, data)
    }

    fn of(attributes: &Attributes<'_>, data: Value) -> Result<Self, Malformed> {
        if attributes.required("specversion")? != "1.0" {
            return Err(Malformed::Attribute("specversion", "1.0"));
        }
        let attempt = attributes
            .text("attempt")?
            .map(|text| text.parse().map_err(|_| Malformed::Attribute("attempt", "a whole number")));
        let time = attributes
            .text("time")?
            .map(|text| instant::parse(&text).ok_or(Malformed::Attribute("time", "an RFC 3339 instant")));
        Ok(Self {
            id: attributes.required("id")?,
            source: attributes.required("source")?,
            kind: attributes.required("type")?,
            time: time.transpose()?,
            subject: attributes.text("subject")?,
            tenant: attributes.text("tenant")?,
            rollout_id: attributes.text("rolloutid")?,
            attempt: attempt.transpose()?,
            traceparent: attributes.text("traceparent")?,
            tracestate: attributes.text("tracestate")?,
            data,
        })
    }

    /// Whether its source is a service of ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.source.starts_with(OURS)
    }

    /// The event in structured mode.
    #[must_use]
    pub fn to_json(&self) -> String {
        let structured = Structured {
            attempt: self.attempt,
            data: &self.data,
            datacontenttype: "application/json",
            id: &self.id,
            rolloutid: self.rollout_id.as_deref(),
            source: &self.source,
            specversion: "1.0",
            subject: self.subject.as_deref(),
            tenant: self.tenant.as_deref(),
            time: self.time.map(instant::text),
            traceparent: self.traceparent.as_deref(),
            tracestate: self.tracestate.as_deref(),
            kind: &self.kind,
        };
        serde_json::to_string(&structured).expect("texts, numbers and values of JSON can be written as JSON")
    }

    /// The event in binary mode: its headers and its body.
    #[must_use]
    pub fn to_binary(&self) -> (BTreeMap<String, String>, String) {
        let mut headers: BTreeMap<_, _> =
            self.attributes().map(|(name, value)| (format!("ce-{name}"), percent_encoded(&value))).collect();
        if let Some(attempt) = self.attempt {
            headers.insert("ce-attempt".to_owned(), attempt.to_string());
        }
        headers.insert("ce-datacontenttype".to_owned(), "application/json".to_owned());
        (headers, self.data.to_string())
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("specversion", Some("1.0".to_owned())),
            ("id", Some(self.id.clone())),
            ("source", Some(self.source.clone())),
            ("type", Some(self.kind.clone())),
            ("time", self.time.map(instant::text)),
            ("subject", self.subject.clone()),
            ("tenant", self.tenant.clone()),
            ("rolloutid", self.rollout_id.clone()),
            ("traceparent", self.traceparent.clone()),
            ("tracestate", self.tracestate.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// An event as it is written in structured mode: one is written for each message, so without a copy.
#[derive(Serialize)]
struct Structured<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i64>,
    data: &'a Value,
    datacontenttype: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolloutid: Option<&'a str>,
    source: &'a str,
    specversion: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
}

enum Attributes<'a> {
    Json(&'a Map<String, Value>),
    Headers(&'a BTreeMap<String, String>),
}

impl Attributes<'_> {
    fn text(&self, name: &'static str) -> Result<Option<String>, Malformed> {
        let value = match self {
            Self::Json(fields) => match fields.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                Some(_) => return Err(Malformed::Attribute(name, "a text")),
            },
            Self::Headers(headers) => match headers.get(&format!("ce-{name}")) {
                None => None,
                Some(text) => Some(percent_decoded(text).ok_or(Malformed::Attribute(name, "percent-encoded UTF-8"))?),
            },
        };
        match value {
            Some(text) if text.len() > ID_BYTES_MAX => Err(Malformed::Attribute(name, "at most 512 bytes")),
            value => Ok(value),
        }
    }

    /// Refuses a payload of another kind.
    fn in_json(&self) -> Result<(), Malformed> {
        let kind = self.text("datacontenttype")?.map(|text| text.to_ascii_lowercase());
        let kind = kind.as_deref().and_then(|text| text.split(';').next()).map(str::trim);
        match kind {
            Some(kind) if !kind.ends_with("/json") && !kind.ends_with("+json") => {
                Err(Malformed::Attribute("datacontenttype", "JSON, such as application/json"))
            }
            _ => Ok(()),
        }
    }

    fn required(&self, name: &'static str) -> Result<String, Malformed> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(Malformed::Missing(name))
    }
}

/// Parses a body with the bounds of the consumer's door: size, depth, no key twice, finite numbers.
///
/// # Errors
/// [`Malformed`], naming what is wrong.
pub fn json(body: &[u8]) -> Result<Value, Malformed> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Malformed::TooLarge(body.len()));
    }
    if depth(body) > DEPTH_MAX {
        return Err(Malformed::Json(format!("it is nested deeper than {DEPTH_MAX}")));
    }
    serde_json::from_slice::<strict::Strict>(body)
        .map(|strict| strict.0)
        .map_err(|cause| Malformed::Json(cause.to_string()))
}

fn of_data(malformed: Malformed) -> Malformed {
    if let Malformed::Json(cause) = malformed { Malformed::Data(cause) } else { malformed }
}

/// The deepest nesting of brackets outside of texts.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

mod strict;

fn base64_bytes(text: &str) -> Result<Vec<u8>, Malformed> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| Malformed::Attribute("data_base64", "base64"))
}

/// Percent-encodes space, `"`, `%` and everything outside U+0021..7E, as the NATS binding asks.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// Undoes percent-encoding; none when it is not that, or not UTF-8.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
