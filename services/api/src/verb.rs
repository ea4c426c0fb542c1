//! Words said to a rollout. They are checked by `decide` itself, so that a refusal is immediate; saying one again does nothing.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use chassis::Core;
use proto::http::{Command, Commanded};
use proto::{Message, RolloutCommand};
use rollout::{Fact, Refusal as Refused, Rollout, Seen, Verb, What, decide};

use crate::problem::{Answer, NAME_BYTES_MAX, REASON_BYTES_MAX, Refusal, body, bounded};
use crate::rollout_view::whole;
use crate::rollouts::found;
use crate::said::{Asked, Outcome, SOURCE, settled};

/// Who handles the words.
const SCHEDULER: &str = "stage-scheduler";
/// Who speaks where nobody has a key.
const LOCAL: &str = "local";

pub(crate) async fn say(
    State(core): State<Core>,
    Path((id, verb)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<Commanded>)> {
    let verb = Verb::named(&verb)
        .ok_or_else(|| Refusal::not_found(format!("`{}` is not said to a rollout", verb.escape_default())))?;
    let command: Command = if bytes.is_empty() { Command::default() } else { body(&bytes)? };
    bounded("actor", command.actor.as_deref(), NAME_BYTES_MAX)?;
    bounded("reason", command.reason.as_deref(), REASON_BYTES_MAX)?;
    let row = found(&mut core.store.page().await?.rows(), &id).await?;
    let turns_back = matches!(verb, Verb::Rollback | Verb::Cancel);
    let asked = Asked {
        headers: &headers,
        tenant: &row.tenant,
        what: format!("POST {} {} {}", row.id, verb.name(), String::from_utf8_lossy(&bytes)),
    };
    let id = match asked.earlier(&core).await? {
        Some(id) => Some(id),
        None if check(&core, &row, verb, &command)? => {
            let if_version = if turns_back { None } else { if_match(&headers)? };
            Some(asked.say(&core, message(&row, verb, command, if_version)).await?)
        }
        None => None,
    };
    let settled = match &id {
        Some(id) => settled(&core, SCHEDULER, id).await?,
        None => true,
    };
    let applied = turns_back && Outcome::Back(&row.id).within_limit(&core).await?;
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let now = found(&mut rows, row.id.as_str()).await?;
    if let Some(id) = &id
        && let Some((outcome, why)) = rows.outcome(SCHEDULER, SOURCE, id).await?
        && outcome != "applied"
        && !applied
    {
        let why = why.unwrap_or(outcome);
        let detail = format!("can't {} rollout {} in stage {}: {why}", verb.name(), now.id, now.stage);
        return Err(Refusal::conflict("refused", detail).rollout(&now.id));
    }
    let done = if turns_back { applied } else { settled };
    let answer = Commanded { applied, rollout: whole(&mut rows, &now).await? };
    Ok((if done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(answer)))
}

/// Whether there is anything to say: `false` when it turns back already, which is what was asked for.
fn check(core: &Core, row: &Rollout, verb: Verb, command: &Command) -> Answer<bool> {
    let actor = command.actor.clone().unwrap_or_else(|| LOCAL.to_owned());
    let fact = Fact {
        what: What::Commanded { verb },
        actor,
        reason: command.reason.clone(),
        seen: Seen { generation: row.generation, ..Seen::default() },
    };
    let turns_back = matches!(verb, Verb::Rollback | Verb::Cancel);
    match decide(row, &fact, core.clock.now()) {
        Ok(_) => Ok(true),
        Err(_) if turns_back && row.stage.is_turned_back() => Ok(false),
        Err(refusal) => Err(refused(row, verb, refusal)),
    }
}

fn refused(row: &Rollout, verb: Verb, refusal: Refused) -> Refusal {
    Refusal::conflict(
        "refused",
        format!("can't {} rollout {} in stage {}: {}", verb.name(), row.id, row.stage, refusal.sentence()),
    )
    .rollout(&row.id)
}

/// The version in `If-Match`, with or without quotes.
fn if_match(headers: &HeaderMap) -> Answer<Option<i64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    version.map(Some).ok_or_else(|| {
        Refusal::bad_request("If-Match must be the version of the rollout, a whole number").field("If-Match")
    })
}

fn message(row: &Rollout, verb: Verb, command: Command, if_version: Option<i64>) -> Message {
    let said = RolloutCommand {
        tenant: row.tenant.clone(),
        model: row.model.clone(),
        rollout_id: row.id.clone(),
        verb,
        owner: LOCAL.to_owned(),
        actor: command.actor,
        reason: command.reason,
        if_version,
    };
    match verb {
        Verb::Advance => Message::RolloutAdvance(said),
        Verb::Pause => Message::RolloutPause(said),
        Verb::Resume => Message::RolloutResume(said),
        Verb::Approve => Message::RolloutApprove(said),
        Verb::Reject => Message::RolloutReject(said),
        Verb::Promote => Message::RolloutPromote(said),
        Verb::Rollback | Verb::Cancel => Message::RolloutStop(said),
    }
}
