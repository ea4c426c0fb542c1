//! `GET /v1/rollouts/{id}/ticks`: the ledger of an analysis, from which every verdict can be computed again.

use axum::Json;
use axum::extract::{Path, Query, State};
use chassis::Core;
use proto::http::{LedgerTick, Page};
use rollout::RolloutId;
use store::Rows;

use crate::model::{Paging, bad_cursor};
use crate::problem::{Answer, Refusal};
use crate::rollouts::found;

/// Before the hour that is tick 0.
const BEGIN: i64 = -1;

pub(crate) async fn page(
    State(core): State<Core>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Page<LedgerTick>>> {
    let limit = paging.limit()?;
    let after = match &paging.cursor {
        None => BEGIN,
        Some(cursor) => cursor.parse().map_err(|_| bad_cursor())?,
    };
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    let items = read(&mut rows, &row.id, (after, limit)).await?;
    let last = after.saturating_add(limit);
    let cursor = items.last().filter(|tick| tick.tick == last).map(|tick| tick.tick.to_string());
    Ok(Json(Page { items, cursor }))
}

/// The ticks behind `after`, so many at most, both arms of each.
pub(crate) async fn read(rows: &mut Rows<'_>, id: &RolloutId, behind: (i64, i64)) -> Answer<Vec<LedgerTick>> {
    let mut entries = Vec::new();
    for row in rows.ticks(id, behind).await? {
        let entry = serde_json::from_value(row.row)
            .map_err(|cause| Refusal::unavailable(format!("tick {} of the ledger can't be read: {cause}", row.tick)))?;
        entries.push((row.tick, row.arm == "candidate", entry));
    }
    Ok(LedgerTick::gather(entries))
}
