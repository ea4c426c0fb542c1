//! Messages that could not be handled, with their reason.

use axum::Json;
use axum::extract::{Query, State};
use chassis::Core;
use proto::http::{Page, ParkedView};

use crate::model::Paging;
use crate::problem::Answer;

pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<ParkedView>>> {
    let rows = core.store.page().await?.rows().parked(paging.limit()?).await?;
    let items = rows.into_iter().map(|row| ParkedView {
        id: row.id,
        service: row.service,
        source: row.source,
        message_id: row.message_id,
        subject: row.subject,
        reason: row.reason,
        error: row.error,
        parked_at: row.parked_at,
    });
    Ok(Json(Page { items: items.collect(), cursor: None }))
}
