//! The promote call: checked against the registry, refused at once where it can't be, and otherwise on its way.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chassis::{Core, Promotable, Refused, promotable};
use proto::http::{DryRun, NewPromotion, Promoted, ResolvedRow};
use proto::{Message, NAME_BYTES_MAX, REASON_BYTES_MAX, VersionPromote};
use rollout::{Model, RolloutId, Tenant, Version, WhenLive};
use serde::Deserialize;
use serde_json::Value;

use crate::model::{bad_policy, check_policy};
use crate::problem::{Answer, Refusal, body, bounded, name};
use crate::said::{Asked, SOURCE};

pub(crate) async fn promote(
    State(core): State<Core>,
    Path((model, version)): Path<(String, String)>,
    Query(asking): Query<Asking>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<Response> {
    let (model, version): (Model, Version) = (name("model", &model)?, name("version", &version)?);
    let new: NewPromotion = if bytes.is_empty() { NewPromotion::default() } else { body(&bytes)? };
    check_words(new.policy.as_ref(), new.requested_by.as_deref(), new.reason.as_deref())?;
    let tenant = Tenant::default();
    let asked = Asked {
        headers: &headers,
        tenant: &tenant,
        what: format!("POST {} {model} {version} {}", asking.verb(), String::from_utf8_lossy(&bytes)),
    };
    if let Some(id) = asked.earlier(&core).await? {
        return Ok(accepted(&id));
    }
    let message = VersionPromote {
        tenant: tenant.clone(),
        model,
        version,
        target_stage: new.target_stage.unwrap_or_else(|| "canary".to_owned()),
        policy: new.policy,
        when_live: new.when_live,
        requested_by: Some(new.requested_by.unwrap_or_else(|| "local".to_owned())),
        reason: new.reason,
    };
    let found = check(&core, &message, &RolloutId::of("", "")).await?;
    if asking.dry_run {
        return Ok(Json(dry_run(&core, message, found).await?).into_response());
    }
    no_backlog(&core).await?;
    Ok(accepted(&asked.say(&core, Message::VersionPromote(message)).await?))
}

/// The rollout's id is made from the message's, so that it can be named before its row exists.
fn accepted(message_id: &str) -> Response {
    (StatusCode::ACCEPTED, Json(Promoted { rollout_id: RolloutId::of(SOURCE, message_id) })).into_response()
}

/// What would apply, said and not done.
async fn dry_run(core: &Core, message: VersionPromote, found: Promotable) -> Answer<DryRun> {
    let mut reader = core.store.page().await?;
    let route = reader.rows().route(&message.tenant, &message.model).await?;
    let live = reader.rows().live(&message.tenant, &message.model, &RolloutId::of("", "")).await?;
    let table = found.policy.table().map_err(|error| bad_policy(&error))?;
    let is_asked = message.when_live.is_some();
    let resolved = table.into_iter().map(|row| {
        let asked = is_asked && row.what == "when_live";
        let from = if asked { "request".to_owned() } else { found.chosen.origin(row.from) };
        let value = if asked { word(found.when_live) } else { row.value };
        ResolvedRow { what: row.what, value, from }
    });
    Ok(DryRun {
        model: message.model,
        version: message.version,
        previous: route.map(|route| route.stable),
        policy: found.chosen.to_string(),
        when_live: found.when_live,
        live: live.map(|(id, _)| id),
        resolved: resolved.collect(),
        plan: found.plan,
    })
}

fn word(when_live: WhenLive) -> String {
    serde_json::to_value(when_live).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What is asked about the promote itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asking {
    /// Only say what would apply.
    #[serde(default)]
    dry_run: bool,
}

impl Asking {
    /// What only says is another request than what does.
    const fn verb(&self) -> &'static str {
        if self.dry_run { "dry run" } else { "promote" }
    }
}

/// Refuses new rollouts while too much waits.
pub(crate) async fn no_backlog(core: &Core) -> Answer<()> {
    match core.backlog().await? {
        None => Ok(()),
        Some(why) => Err(Refusal::unavailable(format!(
            "{why}; new rollouts are taken once they were, rollback and cancel always"
        ))),
    }
}

/// Checks the words of a promotion, which need no rows.
pub(crate) fn check_words(policy: Option<&Value>, requested_by: Option<&str>, reason: Option<&str>) -> Answer<()> {
    policy.map_or(Ok(()), check_policy)?;
    bounded("requested_by", requested_by, NAME_BYTES_MAX)?;
    bounded("reason", reason, REASON_BYTES_MAX)
}

/// Whether a promote can be said; `own` is the rollout that it would be, which is none that is in its way.
pub(crate) async fn check(core: &Core, message: &VersionPromote, own: &RolloutId) -> Answer<Promotable> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let found = promotable(&mut rows, message, core.prometheus.as_ref()).await?.map_err(|refused| refusal(&refused))?;
    let live = rows.live(&message.tenant, &message.model, own).await?;
    match live {
        Some((id, stage)) if found.when_live == WhenLive::Reject => {
            let detail = format!(
                "rollout {id} of `{}` is {stage}; wait for it, roll it back, or promote with when_live `queue` or `supersede`",
                message.model
            );
            Err(Refusal::conflict("another_live", detail).rollout(&id))
        }
        _ => Ok(found),
    }
}

fn refusal(refused: &Refused) -> Refusal {
    let text = refused.to_string();
    match refused {
        Refused::UnknownModel(_) => Refusal::not_found(text).field("model"),
        Refused::UnknownVersion(..) => Refusal::not_found(text).field("version"),
        Refused::TargetStage(_) => Refusal::unprocessable("bad_target_stage", text).field("target_stage"),
        Refused::UnknownPolicy(_) | Refused::BadPolicy(_) | Refused::NoPrometheus(_) => {
            Refusal::unprocessable("bad_policy", text).field("policy")
        }
        Refused::AlreadyActive(_) | Refused::NotPromotable(..) => {
            Refusal::unprocessable("not_promotable", text).field("version")
        }
    }
}
