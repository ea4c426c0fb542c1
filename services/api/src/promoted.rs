//! The promotion history of a model: every change of a version's status, and by which rollout.

use axum::Json;
use axum::extract::{Path, Query, State};
use chassis::Core;
use proto::http::{Page, PromotionView};
use rollout::{Model, Tenant};

use crate::model::{Paging, registered};
use crate::problem::{Answer, Refusal, name};

pub(crate) async fn list(
    State(core): State<Core>,
    Path(model): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Page<PromotionView>>> {
    let model: Model = name("model", &model)?;
    let limit = paging.limit()?;
    let before = paging.cursor.as_deref().map_or(Ok(i64::MAX), str::parse);
    let before = before.map_err(|_| {
        Refusal::unprocessable("bad_cursor", "the cursor is none of an earlier answer".to_owned()).field("cursor")
    })?;
    let mut reader = core.store.page().await?;
    registered(&mut reader.rows(), &model).await?;
    let rows = reader.rows().promotions(&Tenant::default(), &model, before, limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|length| length == limit);
    let cursor = rows.last().filter(|_| full).map(|(id, _)| id.to_string());
    let items = rows.into_iter().map(|(_, row)| PromotionView {
        model: row.name,
        version: row.version,
        from: row.from_stage,
        to: row.to_stage,
        actor: row.actor,
        rollout_id: row.rollout_id,
        at: row.at,
    });
    Ok(Json(Page { items: items.collect(), cursor }))
}
