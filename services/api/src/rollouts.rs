//! Rollouts as they are read.

use axum::Json;
use axum::extract::{Path, Query, State};
use chassis::Core;
use proto::http::{HistoryEntry, Page, RolloutView};
use rollout::{At, Model, Rollout, RolloutId, Tenant};
use store::{RefusalRow, Rows, Transition};

use crate::model::Paging;
use crate::problem::{Answer, Refusal};
use crate::rollout_view::{applied, whole};

/// Entries of a history on one page: a rollout of hours has some hundreds.
const HISTORY: i64 = 1_000;

pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<RolloutView>>> {
    let limit = paging.limit()?;
    let bad = || Refusal::unprocessable("bad_cursor", "the cursor is not one that this list gave").field("cursor");
    let before = match &paging.cursor {
        None => (At(i64::MAX), String::new()),
        Some(cursor) => {
            let (at, id) = cursor.split_once('.').ok_or_else(bad)?;
            (At(at.parse().map_err(|_| bad())?), id.to_owned())
        }
    };
    let mut reader = core.store.page().await?;
    let rows = reader.rows().rollouts(&Tenant::default(), (before.0, &before.1), limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|length| length == limit);
    let cursor = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.created_at.0, row.id));
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut view = RolloutView::of(row);
        view.split.applied = applied(&mut reader.rows(), row).await?;
        items.push(view);
    }
    Ok(Json(Page { items, cursor }))
}

pub(crate) async fn show(State(core): State<Core>, Path(id): Path<String>) -> Answer<Json<RolloutView>> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    Ok(Json(whole(&mut rows, &row).await?))
}

/// A rollout by its id, or by its model: the live one, else the last.
pub(crate) async fn found(rows: &mut Rows<'_>, text: &str) -> Answer<Rollout> {
    if let Ok(id) = RolloutId::new(text)
        && let Some(row) = rows.rollout(&id).await?
    {
        return Ok(row);
    }
    if let Ok(model) = Model::new(text)
        && let Some(row) = rows.rollout_of(&Tenant::default(), &model).await?
    {
        return Ok(row);
    }
    Err(Refusal::not_found(format!(
        "there is no rollout `{}`, and no model of that name with one",
        text.escape_default()
    )))
}

pub(crate) async fn history(State(core): State<Core>, Path(id): Path<String>) -> Answer<Json<Page<HistoryEntry>>> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    let log = rows.history(&row.id, 0, HISTORY).await?;
    let refusals = rows.refusals(&row.id).await?;
    let mut items: Vec<_> = log.into_iter().map(moved).chain(refusals.into_iter().map(refused)).collect();
    items.sort_by_key(|entry| (entry.at, entry.version));
    Ok(Json(Page { items, cursor: None }))
}

fn moved(entry: Transition) -> HistoryEntry {
    HistoryEntry {
        at: entry.decided_at,
        entry: "transition".to_owned(),
        version: entry.version,
        from: Some(entry.from_stage),
        to: Some(entry.to_stage),
        step: Some(entry.step),
        fact: entry.fact_kind,
        actor: entry.actor,
        reason: entry.reason,
        evidence: entry.evidence,
    }
}

fn refused(row: RefusalRow) -> HistoryEntry {
    HistoryEntry {
        at: row.refused_at,
        entry: "refusal".to_owned(),
        version: row.at_version,
        from: None,
        to: None,
        step: None,
        fact: row.fact_kind,
        actor: row.actor,
        reason: Some(row.reason),
        evidence: None,
    }
}
