//! Rollouts as they are read.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use chassis::Core;
use proto::http::{HistoryEntry, Page, RolloutView};
use rollout::{At, Model, Rollout, RolloutId, Tenant};
use serde::Deserialize;
use store::{RefusalRow, Rows, Transition};

use crate::canary_deployment::canary_deployment;
use crate::model::{PAGE, Paging, bad_cursor};
use crate::problem::{Answer, Refusal};
use crate::rollout_view::{read_back, whole};

/// Moves on the page of a rollout.
const SHOWN: i64 = 500;

pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<RolloutView>>> {
    let limit = paging.limit()?;
    let before = paging.instant_and_id()?;
    let mut reader = core.store.page().await?;
    let rows = reader.rows().rollouts(&Tenant::default(), (before.0, &before.1), limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|length| length == limit);
    let cursor = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.created_at.0, row.id));
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut view = RolloutView::of(row);
        read_back(&mut reader.rows(), row, &mut view).await?;
        items.push(view);
    }
    Ok(Json(Page { items, cursor }))
}

/// In which shape a rollout is wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct Shape {
    #[serde(rename = "as")]
    shape: Option<String>,
}

pub(crate) async fn show(
    State(core): State<Core>,
    Path(id): Path<String>,
    Query(wanted): Query<Shape>,
) -> Answer<Response> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    match wanted.shape.as_deref() {
        None => Ok(Json(whole(&mut rows, &row).await?).into_response()),
        Some("canary-deployment") => Ok(Json(canary_deployment(&mut rows, row).await?).into_response()),
        Some(other) => Err(Refusal::unprocessable(
            "bad_shape",
            format!("a rollout is not shown as `{}`; write canary-deployment, or leave it out", other.escape_default()),
        )
        .field("as")),
    }
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

/// Where a history goes on: behind this version of the log, and behind this refusal.
struct Place {
    version: i64,
    refusal: (At, String),
}

impl Place {
    fn of(paging: &Paging) -> Answer<Self> {
        let Some(cursor) = &paging.cursor else {
            return Ok(Self { version: 0, refusal: (At(i64::MIN), String::new()) });
        };
        let mut parts = cursor.splitn(3, '.');
        let mut number = || parts.next()?.parse().ok();
        let place = number().zip(number());
        let place =
            place.zip(parts.next()).map(|((version, at), id)| Self { version, refusal: (At(at), id.to_owned()) });
        place.ok_or_else(bad_cursor)
    }

    fn cursor(&self) -> String {
        format!("{}.{}.{}", self.version, self.refusal.0.0, self.refusal.1)
    }
}

/// A move or a refusal.
enum Entry {
    Moved(Transition),
    Refused(RefusalRow),
}

impl Entry {
    /// A move stands before what was refused at the same moment.
    fn order(&self) -> (At, bool, i64, &str) {
        match self {
            Self::Moved(entry) => (entry.decided_at, false, entry.version, ""),
            Self::Refused(row) => (row.refused_at, true, 0, &row.fact_id),
        }
    }
}

pub(crate) async fn history(
    State(core): State<Core>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Page<HistoryEntry>>> {
    let (limit, mut place) = (paging.limit_or(PAGE.1)?, Place::of(&paging)?);
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    let log = rows.history(&row.id, place.version, limit).await?;
    let refusals = rows.refusals(&row.id).await?;
    let refusals = refusals
        .into_iter()
        .filter(|row| (row.refused_at, row.fact_id.as_str()) > (place.refusal.0, place.refusal.1.as_str()));
    let mut entries: Vec<_> = log.into_iter().map(Entry::Moved).chain(refusals.map(Entry::Refused)).collect();
    entries.sort_by(|one, other| one.order().cmp(&other.order()));
    let limit = usize::try_from(limit).unwrap_or_default();
    let is_more = entries.len() >= limit;
    entries.truncate(limit);
    for entry in &entries {
        match entry {
            Entry::Moved(entry) => place.version = entry.version,
            Entry::Refused(row) => place.refusal = (row.refused_at, row.fact_id.clone()),
        }
    }
    let items = entries.into_iter().map(|entry| match entry {
        Entry::Moved(entry) => moved(entry),
        Entry::Refused(row) => refused(row),
    });
    Ok(Json(Page { items: items.collect(), cursor: is_more.then(|| place.cursor()) }))
}

/// The newest moves of a rollout and what was refused, in their order: what a page shows.
pub(crate) async fn logged(rows: &mut Rows<'_>, row: &Rollout) -> Answer<Vec<HistoryEntry>> {
    let log = rows.history(&row.id, row.version.saturating_sub(SHOWN), SHOWN).await?;
    let refusals = rows.refusals(&row.id).await?;
    let mut items: Vec<_> = log.into_iter().map(moved).chain(refusals.into_iter().map(refused)).collect();
    items.sort_by_key(|entry| (entry.at, entry.version));
    Ok(items)
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
