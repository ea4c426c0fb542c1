//! Bodies of the HTTP API. A request with a field that nobody knows is refused: a typing error must not be a default.

mod canary;
mod fact;

use std::collections::BTreeMap;

use rollout::{At, Health, Match, Model, RolloutId, Tenant, Version, WhenLive};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instant::rfc3339;
use crate::schemas::NameOrPolicy;

pub use canary::{CanaryDeployment, CanaryStage};
pub use fact::RolloutFact;

mod dry_run;
mod ledger;
mod parked;
mod rollout_view;
mod slo;

pub use dry_run::{DryRun, ResolvedRow};
pub use ledger::{LedgerEntry, LedgerTick};
pub use parked::{ParkedView, ParkedWhole, Unparked};
pub use rollout_view::{Exposure, HistoryEntry, RolloutView, SplitView};
pub use slo::SloView;

/// `POST /v1/models`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// Its name.
    pub name: Model,
    /// Such as `RERANKER`.
    #[serde(rename = "type")]
    pub model_type: String,
    /// `model` (default), `agent` or `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whose it is; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// Which requests belong to it; by path `/{name}` when absent.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none", deserialize_with = "strict_match")]
    pub matches: Option<Match>,
    /// A policy's name, or a whole policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOrPolicy>")]
    pub policy: Option<Value>,
    /// `{path}` or `off`; `/health` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// A match as people write it: a typing error must not be a default.
fn strict_match<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Match>, D::Error> {
    use serde::de::Error as _;
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    let unknown =
        value.as_object().and_then(|fields| fields.keys().find(|field| !Match::FIELDS.contains(&field.as_str())));
    if let Some(field) = unknown {
        return Err(D::Error::custom(format!(
            "unknown field `{}` in `match`, expected one of {}",
            field.escape_default(),
            Match::FIELDS.join(", ")
        )));
    }
    Match::deserialize(value).map(Some).map_err(D::Error::custom)
}

/// A model as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelView {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: Model,
    /// Such as `RERANKER`.
    #[serde(rename = "type")]
    pub model_type: String,
    /// `model`, `agent` or `prompt`.
    pub kind: String,
    /// Which requests belong to it.
    #[serde(rename = "match")]
    pub matches: Match,
    /// A policy's name, or a whole policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOrPolicy>")]
    pub policy: Option<Value>,
    /// How its servers are asked whether they are ready.
    pub health: Health,
    /// The version that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Version>,
    /// The live rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// When it was registered.
    #[serde(with = "rfc3339")]
    pub created_at: At,
}

/// `POST /v1/registry/{model}/versions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// The version.
    pub version: Version,
    /// Base URL of its servers, `http://host:port` and perhaps a path.
    pub upstream: String,
    /// Headers that choose it inside its server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Where its artifact lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    /// Whatever its owner wants to keep with it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
}

/// A version as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionView {
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// `published`, `canary`, `active`, `retired`, `turned_back` or `revoked`.
    pub status: String,
    /// Its share in percent.
    pub traffic_pct: f64,
    /// Base URL of its servers.
    pub upstream: String,
    /// Headers that choose it inside its server.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where its artifact lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    /// Whatever its owner wants to keep with it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// When it was registered.
    #[serde(with = "rfc3339")]
    pub created_at: At,
    /// When its status last changed.
    #[serde(with = "rfc3339")]
    pub updated_at: At,
}

/// A change of a version's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionView {
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// Its status before.
    pub from: String,
    /// Its status after.
    pub to: String,
    /// Who moved it.
    pub actor: String,
    /// By which rollout.
    pub rollout_id: RolloutId,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: At,
}

/// A policy as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// Counts from 1; 0 for a shipped preset.
    pub revision: i64,
    /// `preset` or `saved`.
    pub origin: String,
    /// The policy; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}

/// `POST /v1/registry/{model}/{version}/promote`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPromotion {
    /// `canary` is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_stage: Option<String>,
    /// A policy's name, or a whole policy; when absent the model's own, else a preset by how far the versions are apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOrPolicy>")]
    pub policy: Option<Value>,
    /// While another rollout is live: `reject` (default), `queue` or `supersede`; the policy's own word when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_live: Option<WhenLive>,
    /// Who asks, as a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to a promote: 202.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Promoted {
    /// The rollout, made from the promote message: its row may follow a moment later.
    pub rollout_id: RolloutId,
}

/// `POST /v1/rollouts/{id}/{verb}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Who says it, as a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to a verb: 200 when it is done, 202 when it is on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Commanded {
    /// Rollback and cancel: whether the split was read back from every router.
    pub applied: bool,
    /// The rollout after it; absent where the database can't be read, and what was said is recorded later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutView>,
}

/// `POST /v1/observations`: a list of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The model.
    pub model: Model,
    /// The version that answered.
    pub version: Version,
    /// Of the request that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Such as `task_success`.
    pub metric: String,
    /// 0 or 1 for a rate.
    pub value: f64,
    /// When it happened; outcomes count when they arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:tidegate:problem:<word>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status in words, where a key is missing or wrong: what clients of plain APIs look for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// What was asked, what stopped it, what to try.
    pub detail: String,
    /// The field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The rollout that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_id: Option<RolloutId>,
}

/// Reads a request's body.
///
/// # Errors
/// What is wrong with it, in a sentence that names the field; and the field, where it is one.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (String, Option<String>)> {
    typed(crate::envelope::json(body).map_err(|malformed| (malformed.to_string(), None))?)
}

/// What `POST /v1/events` took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsTaken {
    /// Each event, in the order in which they came.
    pub items: Vec<EventTaken>,
}

/// An event that was taken, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventTaken {
    /// Of the event.
    pub source: String,
    /// Of the event.
    pub id: String,
    /// Of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rollout that it asks for; its row may follow a moment later.
    pub rollout_id: RolloutId,
}

/// Takes a value as what it should be; the error is a sentence and, if it names one, the field.
///
/// # Errors
/// What is wrong with it.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, (String, Option<String>)> {
    serde_json::from_value(value).map_err(|cause| {
        let text = cause.to_string();
        let field = text.split('`').nth(1).filter(|_| text.contains("field")).map(str::to_owned);
        (text, field)
    })
}
