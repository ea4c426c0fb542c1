//! The promote call: checked against the registry, refused at once where it can't be, and otherwise on its way.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chassis::{Core, Refused, promotable};
use proto::http::{NewPromotion, Promoted};
use proto::{Message, VersionPromote};
use rollout::{Model, RolloutId, Tenant, Version, WhenLive};

use crate::model::check_policy;
use crate::problem::{Answer, NAME_BYTES_MAX, REASON_BYTES_MAX, Refusal, body, bounded, name};
use crate::said::{Asked, SOURCE};

pub(crate) async fn promote(
    State(core): State<Core>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<Promoted>)> {
    let (model, version): (Model, Version) = (name("model", &model)?, name("version", &version)?);
    let new: NewPromotion = if bytes.is_empty() { NewPromotion::default() } else { body(&bytes)? };
    if let Some(policy) = &new.policy {
        check_policy(policy)?;
    }
    bounded("requested_by", new.requested_by.as_deref(), NAME_BYTES_MAX)?;
    bounded("reason", new.reason.as_deref(), REASON_BYTES_MAX)?;
    let tenant = Tenant::default();
    let asked = Asked {
        headers: &headers,
        tenant: &tenant,
        what: format!("POST promote {model} {version} {}", String::from_utf8_lossy(&bytes)),
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
    check(&core, &message).await?;
    Ok(accepted(&asked.say(&core, Message::VersionPromote(message)).await?))
}

/// The rollout's id is made from the message's, so that it can be named before its row exists.
fn accepted(message_id: &str) -> (StatusCode, Json<Promoted>) {
    (StatusCode::ACCEPTED, Json(Promoted { rollout_id: RolloutId::of(SOURCE, message_id) }))
}

async fn check(core: &Core, message: &VersionPromote) -> Answer<()> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let found = promotable(&mut rows, message, core.prometheus.as_ref()).await?.map_err(|refused| refusal(&refused))?;
    let nobody = RolloutId::of("", "");
    let live = rows.live(&message.tenant, &message.model, &nobody).await?;
    match live {
        Some((id, stage)) if found.when_live == WhenLive::Reject => {
            let detail = format!(
                "rollout {id} of `{}` is {stage}; wait for it, roll it back, or promote with when_live `queue` or `supersede`",
                message.model
            );
            Err(Refusal::conflict("another_live", detail).rollout(&id))
        }
        _ => Ok(()),
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
