//! Messages that could not be handled, with their reason: listed, shown, and, at somebody's word, replayed or dropped by the
//! service that parked them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::{Command, Page, ParkedView, ParkedWhole, Unparked};
use proto::{NAME_BYTES_MAX, REASON_BYTES_MAX};
use rollout::{At, Tenant};
use store::{Parked, ReplayRow, Unpark, UnparkedEntry};

use crate::model::{Paging, bad_cursor};
use crate::problem::{Answer, Refusal, body, bounded};
use crate::said::{Asked, Outcome};

pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<ParkedView>>> {
    let (limit, after) = (paging.limit()?, paging.instant_and_id()?);
    let rows = core.store.page().await?.rows().parked((after.0, &after.1), limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|length| length == limit);
    let cursor = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.parked_at.0, row.id));
    Ok(Json(Page { items: rows.into_iter().map(view).collect(), cursor }))
}

pub(crate) async fn show(State(core): State<Core>, Path(id): Path<String>) -> Answer<Json<ParkedWhole>> {
    let mut reader = core.store.page().await?;
    let row = reader.rows().parked_one(&id).await?.ok_or_else(|| unknown(&id))?;
    let past = reader.rows().unparked(&id).await?.into_iter().map(entry).collect();
    Ok(Json(ParkedWhole {
        tries: row.tries,
        first_seen_at: row.first_seen_at,
        headers: serde_json::from_str(&row.headers).unwrap_or_default(),
        body: String::from_utf8_lossy(&row.body).into_owned(),
        replayed_at: row.replayed_at,
        past,
        parked: view(row),
    }))
}

pub(crate) async fn unpark(
    State(core): State<Core>,
    Path((id, action)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<Unparked>)> {
    let unknown_action =
        || Refusal::not_found(format!("`{}` is not done to a parked message", action.escape_default()));
    let action = Unpark::named(&action).ok_or_else(unknown_action)?;
    let command: Command = if bytes.is_empty() { Command::default() } else { body(&bytes)? };
    bounded("actor", command.actor.as_deref(), NAME_BYTES_MAX)?;
    bounded("reason", command.reason.as_deref(), REASON_BYTES_MAX)?;
    let tenant = Tenant::default();
    let what = format!("POST /v1/parked/{id}/{} {}", action.name(), String::from_utf8_lossy(&bytes));
    let asked = Asked { headers: &headers, tenant: &tenant, what };
    let replay = ReplayRow {
        parked_id: id,
        action,
        actor: command.actor.unwrap_or_else(|| "local".to_owned()),
        reason: command.reason,
        asked_at: core.clock.now(),
    };
    asked.once(&core, done(&core, &asked, replay)).await
}

/// Writes the word down, wakes its service, and waits for what becomes of it.
async fn done(core: &Core, asked: &Asked<'_>, replay: ReplayRow) -> Answer<(StatusCode, Json<Unparked>)> {
    let id = replay.parked_id.clone();
    if asked.earlier(core).await?.is_none() {
        ask(core, asked, &replay).await?;
    }
    let is_done = Outcome::Unparked(&id).within_limit(core).await?;
    let mut reader = core.store.page().await?;
    let last = reader.rows().unparked(&id).await?.into_iter().next();
    Ok(match last.filter(|_| is_done) {
        Some(last) => (StatusCode::OK, Json(entry(last))),
        None => (StatusCode::ACCEPTED, Json(on_its_way(replay))),
    })
}

async fn ask(core: &Core, asked: &Asked<'_>, replay: &ReplayRow) -> Answer<()> {
    let id = &replay.parked_id;
    let mut tx = core.store.begin().await?;
    let row = tx.rows().parked_one(id).await?.ok_or_else(|| unknown(id))?;
    if let Some(by) = row.replayed_by {
        return Err(Refusal::conflict("unparked", format!("message {id} was replayed by {by} and is parked no more")));
    }
    if let Some(there) = tx.rows().replay(id).await?
        && there.action != replay.action
    {
        let detail =
            format!("{} asked for a {} of message {id} already; wait for it", there.actor, there.action.name());
        return Err(Refusal::conflict("asked_already", detail));
    }
    asked.remember(core, &mut tx, id).await?;
    tx.ask(replay).await?;
    tx.commit().await?;
    core.wake_parked();
    Ok(())
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(format!("no message `{}` is parked; it may have been dropped", id.escape_default()))
}

fn view(row: Parked) -> ParkedView {
    ParkedView {
        id: row.id,
        service: row.service,
        source: row.source,
        message_id: row.message_id,
        subject: row.subject,
        reason: row.reason,
        error: row.error,
        parked_at: row.parked_at,
    }
}

fn entry(row: UnparkedEntry) -> Unparked {
    Unparked { outcome: Some(row.outcome), why: row.why, done_at: Some(row.done_at), ..on_its_way(row.asked) }
}

fn on_its_way(asked: ReplayRow) -> Unparked {
    Unparked {
        id: asked.parked_id,
        action: asked.action.name().to_owned(),
        outcome: None,
        why: None,
        actor: asked.actor,
        reason: asked.reason,
        asked_at: asked.asked_at,
        done_at: None,
    }
}

impl Paging {
    /// Where a list goes on that is sorted by an instant, the newest first, and then by id.
    pub(crate) fn instant_and_id(&self) -> Answer<(At, String)> {
        let Some(cursor) = &self.cursor else { return Ok((At(i64::MAX), String::new())) };
        let place = cursor.split_once('.').and_then(|(at, id)| Some((At(at.parse().ok()?), id.to_owned())));
        place.ok_or_else(bad_cursor)
    }
}
