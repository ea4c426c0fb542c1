//! Words said to a rollout. They are checked by `decide` itself, so that a refusal is immediate; saying one again does nothing.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use chassis::{Core, MOVED_SINCE, still_there};
use proto::http::{Command, Commanded, RolloutView};
use proto::{Message, NAME_BYTES_MAX, REASON_BYTES_MAX, RolloutCommand};
use rollout::{Fact, Refusal as Refused, Rollout, Route, Seen, Verb, What, decide};

use crate::problem::{Answer, Refusal, body, bounded};
use crate::rollout_view::whole;
use crate::rollouts::found;
use crate::said::{Asked, Outcome, SOURCE, settled};
use crate::stop::{self, Stop};

/// Who handles the words.
const SCHEDULER: &str = "stage-scheduler";
/// Who speaks where nobody has a key.
const LOCAL: &str = "local";

/// A stop that can't be checked against the database by then goes by what the bus knows.
const READ_LIMIT: Duration = Duration::from_millis(200);

/// A word with what was said beside it.
struct Word {
    verb: Verb,
    command: Command,
    /// The version of the row that the speaker has seen.
    if_version: Option<i64>,
}

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
    let if_version = if verb.turns_back() { None } else { if_match(&headers)? };
    let read = async { found(&mut core.store.page().await?.rows(), &id).await };
    let row = if verb.turns_back() {
        match tokio::time::timeout(READ_LIMIT, read).await {
            Ok(Ok(row)) => row,
            Ok(Err(refusal)) if !refusal.is_unavailable() => return Err(refusal),
            _ => return stop::blind(&core, &id, |route| stopping(route, verb, command)).await,
        }
    } else {
        read.await?
    };
    let asked = Asked {
        headers: &headers,
        tenant: &row.tenant,
        what: format!("POST {} {} {}", row.id, verb.name(), String::from_utf8_lossy(&bytes)),
    };
    asked.once(&core, said(&core, &asked, &row, Word { verb, command, if_version })).await
}

/// Says the word, waits for what becomes of it, and answers.
async fn said(core: &Core, asked: &Asked<'_>, row: &Rollout, word: Word) -> Answer<(StatusCode, Json<Commanded>)> {
    let verb = word.verb;
    let id = match asked.earlier(core).await? {
        Some(id) => Some(id),
        None if is_new(core, row, &word).await? && verb.turns_back() => {
            let stop = Stop::new(spoken(row, word), asked.key_row(core)?);
            let (id, serving) =
                (stop.id.clone(), stop::on_the_way(&core.bus, |route| route.rollout_id.as_ref() == Some(&row.id)));
            if !stop.say(core).await? {
                return unrecorded(core, row, serving).await;
            }
            Some(id)
        }
        None if is_new(core, row, &word).await? => Some(asked.say(core, message(row, word)).await?),
        None => None,
    };
    let settled = match &id {
        Some(id) => settled(core, SCHEDULER, id).await?,
        None => true,
    };
    let applied = verb.turns_back() && Outcome::Back(&row.id).within_limit(core).await?;
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let now = found(&mut rows, row.id.as_str()).await?;
    if let Some(id) = &id
        && let Some((outcome, why)) = rows.outcome(SCHEDULER, SOURCE, id).await?
        && outcome != "applied"
        && !applied
    {
        return Err(refused(&now, verb, &why.unwrap_or(outcome)));
    }
    let done = if verb.turns_back() { applied } else { settled };
    let answer = Commanded { applied, rollout: Some(whole(&mut rows, &now).await?) };
    Ok((if done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(answer)))
}

/// The answer to a stop that the database did not take in time: whether the routers hold the rollout all the same.
async fn unrecorded(core: &Core, row: &Rollout, serving: Option<Route>) -> Answer<(StatusCode, Json<Commanded>)> {
    let applied = match serving {
        Some(route) => stop::held(&core.bus, &core.clock, &route).await,
        None => false,
    };
    let status = if applied { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Commanded { applied, rollout: Some(RolloutView::of(row)) })))
}

/// Whether there is anything to say: `false` when it is so already. A word for a stage that is left is said all the same: its
/// refusal belongs into the history.
async fn is_new(core: &Core, row: &Rollout, word: &Word) -> Answer<bool> {
    if let Some(version) = word.if_version
        && !still_there(&mut core.store.page().await?.rows(), row, version).await?
    {
        return Ok(true);
    }
    let fact = Fact {
        what: What::Commanded { verb: word.verb },
        actor: word.command.actor.clone().unwrap_or_else(|| LOCAL.to_owned()),
        reason: word.command.reason.clone(),
        seen: Seen { generation: row.generation, ..Seen::default() },
    };
    match decide(row, &fact, core.clock.now()) {
        Ok(_) => Ok(true),
        Err(_) if word.verb.is_done(row.stage) => Ok(false),
        Err(refusal) => Err(refused(row, word.verb, &refusal.to_string())),
    }
}

/// What was asked, where the rollout stands, and why it can't be.
fn refused(row: &Rollout, verb: Verb, why: &str) -> Refusal {
    let (id, stage, verb) = (&row.id, row.stage, verb.name());
    if why == MOVED_SINCE {
        let detail = format!(
            "can't {verb} rollout {id}: it moved since the version in If-Match and is in stage {stage}, step {}, version {} now; look at it again",
            row.step + 1,
            row.version
        );
        return Refusal::stale(detail).field("If-Match").rollout(id);
    }
    let why = Refused::named(why).map_or(why, |refusal| refusal.sentence());
    Refusal::conflict("refused", format!("can't {verb} rollout {id} in stage {stage}: {why}")).rollout(id)
}

/// The version in `If-Match`, with or without quotes; `*` means whatever is there.
fn if_match(headers: &HeaderMap) -> Answer<Option<i64>> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let bad = || {
        Refusal::bad_request("If-Match must be one version of the rollout, a whole number such as \"7\"")
            .field("If-Match")
    };
    let (value, others) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad())?.trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match (others, bare) {
        (Some(_), _) => Err(bad()),
        (None, "*") => Ok(None),
        (None, bare) => bare.parse().map(Some).map_err(|_| bad()),
    }
}

fn spoken(row: &Rollout, word: Word) -> RolloutCommand {
    RolloutCommand {
        tenant: row.tenant.clone(),
        model: row.model.clone(),
        rollout_id: row.id.clone(),
        verb: word.verb,
        owner: LOCAL.to_owned(),
        actor: word.command.actor,
        reason: word.command.reason,
        if_version: word.if_version,
    }
}

/// A stop of the rollout that a route belongs to.
pub(crate) fn stopping(route: &Route, verb: Verb, said: Command) -> Option<RolloutCommand> {
    Some(RolloutCommand {
        tenant: route.tenant.clone(),
        model: route.model.clone(),
        rollout_id: route.rollout_id.clone()?,
        verb,
        owner: LOCAL.to_owned(),
        actor: said.actor,
        reason: said.reason,
        if_version: None,
    })
}

fn message(row: &Rollout, word: Word) -> Message {
    let verb = word.verb;
    let said = spoken(row, word);
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
