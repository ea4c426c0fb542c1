//! Bodies about parked messages.

use std::collections::BTreeMap;

use rollout::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::{rfc3339, rfc3339_option};

/// A message that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParkedView {
    /// Its id in this list.
    pub id: String,
    /// Who parked it.
    pub service: String,
    /// Who sent it.
    pub source: String,
    /// Its id.
    pub message_id: String,
    /// Where it came from.
    pub subject: String,
    /// A word of a closed set.
    pub reason: String,
    /// What exactly is wrong.
    pub error: String,
    /// When.
    #[serde(with = "rfc3339")]
    pub parked_at: At,
}

/// `GET /v1/parked/{id}`: the message whole, and what became of it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParkedWhole {
    /// As it is listed.
    #[serde(flatten)]
    pub parked: ParkedView,
    /// How often it was tried.
    pub tries: i64,
    /// When it was said.
    #[serde(with = "rfc3339")]
    pub first_seen_at: At,
    /// What stands beside the event.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The event as it came; bytes that are no text are shown as �.
    pub body: String,
    /// When it was replayed; it is no longer parked then.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<At>,
    /// What was done with it so far, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Unparked>,
}

/// What became of a parked message: the answer to `POST /v1/parked/{id}/{replay,drop}`, 202 while it is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unparked {
    /// Of the parked message.
    pub id: String,
    /// `replay` or `drop`.
    pub action: String,
    /// `applied`, `refused`, `parked` (again) or `dropped`; absent while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it was refused, or parked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who asked.
    pub actor: String,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(with = "rfc3339")]
    pub asked_at: At,
    /// When it was done.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub done_at: Option<At>,
}
