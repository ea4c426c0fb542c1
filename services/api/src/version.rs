//! Versions of a model.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::{NewVersion, Page, VersionView};
use proto::{Message, VersionRegister};
use rollout::{Model, Tenant};
use store::VersionRow;

use crate::model::{Paging, registered};
use crate::problem::{Answer, Refusal, body, name};
use crate::said::{Asked, settled};
use crate::upstream;

pub(crate) async fn add(
    State(core): State<Core>,
    Path(model): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<VersionView>)> {
    let (tenant, model): (_, Model) = (Tenant::default(), name("model", &model)?);
    let new: NewVersion = body(&bytes)?;
    upstream::check(&new.upstream)?;
    upstream::check_headers(new.headers.iter())?;
    let mut reader = core.store.page().await?;
    registered(&mut reader.rows(), &model).await?;
    drop(reader);
    let register = VersionRegister {
        tenant: tenant.clone(),
        model: model.clone(),
        version: new.version,
        upstream: new.upstream,
        headers: new.headers,
        artifact_uri: new.artifact_uri,
        metadata: new.metadata,
        requested_by: "local".to_owned(),
    };
    let asked = Asked {
        headers: &headers,
        tenant: &tenant,
        what: format!("POST /v1/registry/{model}/versions {}", String::from_utf8_lossy(&bytes)),
    };
    asked.once(&core, added(&core, &asked, register)).await
}

async fn added(core: &Core, asked: &Asked<'_>, new: VersionRegister) -> Answer<(StatusCode, Json<VersionView>)> {
    let id = match asked.earlier(core).await? {
        Some(id) => id,
        None => match known(core, &new).await? {
            Some(row) => return again(&new, row),
            None => asked.say(core, Message::VersionRegister(new.clone())).await?,
        },
    };
    if !settled(core, "registry-writer", &id).await? {
        return Err(Refusal::unavailable("the registry has not answered yet; ask again"));
    }
    let row = known(core, &new).await?;
    let row = row.ok_or_else(|| Refusal::unavailable("the registry did not take the version; ask again"))?;
    // Somebody else may have been quicker with other content: that is a conflict, as it would have been before.
    again(&new, row).map(|(_, view)| (StatusCode::CREATED, view))
}

async fn known(core: &Core, new: &VersionRegister) -> Answer<Option<VersionRow>> {
    Ok(core.store.page().await?.rows().version(&new.tenant, &new.model, &new.version).await?)
}

/// A version never changes: the same again is fine, another content is a conflict.
fn again(new: &VersionRegister, row: VersionRow) -> Answer<(StatusCode, Json<VersionView>)> {
    let same = row.upstream == new.upstream
        && row.headers == new.headers
        && row.artifact_uri == new.artifact_uri
        && row.metadata == new.metadata;
    if same {
        return Ok((StatusCode::OK, Json(view(row))));
    }
    Err(Refusal::conflict(
        "version_exists",
        format!("version `{}` is registered with other content, and a version never changes", new.version),
    )
    .field("version"))
}

pub(crate) async fn list(
    State(core): State<Core>,
    Path(model): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Page<VersionView>>> {
    let model: Model = name("model", &model)?;
    let (limit, before) = (paging.limit()?, paging.instant_and_id()?);
    let mut reader = core.store.page().await?;
    registered(&mut reader.rows(), &model).await?;
    let rows = reader.rows().versions(&Tenant::default(), &model, (before.0, &before.1), limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|length| length == limit);
    let cursor = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.created_at.0, row.version));
    Ok(Json(Page { items: rows.into_iter().map(view).collect(), cursor }))
}

fn view(row: VersionRow) -> VersionView {
    VersionView {
        model: row.name,
        version: row.version,
        status: row.status,
        traffic_pct: row.traffic_pct,
        upstream: row.upstream,
        headers: row.headers,
        artifact_uri: row.artifact_uri,
        metadata: row.metadata,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
