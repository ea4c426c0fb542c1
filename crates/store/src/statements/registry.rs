//! Statements of registry-writer: models, versions, policies.

use rollout::{At, Model, PolicyName, RolloutId, Tenant, Version};

use super::columns::{get, name, text};
use super::dialect::held;
use super::{Connection, Row};
use crate::rows::{ModelRow, PolicyRow, PromotionRow, VersionRow};
use crate::{Error, json};

macro_rules! select_model {
    ($($tail:expr),+) => {
        concat!("select tenant, name, type, kind, match, spec, generation, created_at from model ", $($tail),+)
    };
}

pub(crate) async fn model(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Option<ModelRow>, Error> {
    one_model(on, select_model!("where tenant = $1 and name = $2"), (tenant, model)).await
}

/// Nobody else changes the model until the transaction ends: what is read of its versions after this stays true until then.
pub(crate) async fn model_held(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Option<ModelRow>, Error> {
    const HELD: &str = select_model!("where tenant = $1 and name = $2", held!("model" by "name"));
    one_model(on, HELD, (tenant, model)).await
}

async fn one_model(
    on: &mut Connection,
    statement: &'static str,
    (tenant, model): (&Tenant, &Model),
) -> Result<Option<ModelRow>, Error> {
    let row = sqlx::query(statement)
        .bind(tenant.as_str())
        .bind(model.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a model"))?;
    row.as_ref().map(model_row).transpose()
}

pub(crate) async fn models(
    on: &mut Connection,
    tenant: &Tenant,
    after: &str,
    limit: i64,
) -> Result<Vec<ModelRow>, Error> {
    let rows = sqlx::query(select_model!("where tenant = $1 and name > $2 order by name limit $3"))
        .bind(tenant.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(on)
        .await
        .map_err(Error::of("list models"))?;
    rows.iter().map(model_row).collect()
}

/// Who has this match, if anybody.
pub(crate) async fn match_owner(on: &mut Connection, key: &str) -> Result<Option<(Tenant, Model)>, Error> {
    let row = sqlx::query("select tenant, name from model where match = $1")
        .bind(key)
        .fetch_optional(on)
        .await
        .map_err(Error::of("look for a match"))?;
    row.map(|row| Ok((name(&row, 0, Tenant::new)?, name(&row, 1, Model::new)?))).transpose()
}

fn model_row(row: &Row) -> Result<ModelRow, Error> {
    Ok(ModelRow {
        tenant: name(row, 0, Tenant::new)?,
        name: name(row, 1, Model::new)?,
        model_type: get(row, 2)?,
        kind: get(row, 3)?,
        match_key: get(row, 4)?,
        spec: text(row, 5)?,
        generation: get(row, 6)?,
        created_at: At(get(row, 7)?),
    })
}

pub(crate) async fn add_model(on: &mut Connection, row: &ModelRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into model (tenant, name, type, kind, match, spec, generation, created_at) values ($1, $2, $3, $4, $5, $6, 0, $7) on conflict do nothing",
    )
    .bind(row.tenant.as_str())
    .bind(row.name.as_str())
    .bind(&row.model_type)
    .bind(&row.kind)
    .bind(&row.match_key)
    .bind(json("spec", &row.spec)?)
    .bind(row.created_at.0)
    .execute(on)
    .await
    .map_err(Error::of("add a model"))?;
    Ok(done.rows_affected())
}

/// Remembers that news up to `generation` were applied; not backwards.
pub(crate) async fn followed(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    generation: i64,
) -> Result<u64, Error> {
    let done = sqlx::query("update model set generation = $3 where tenant = $1 and name = $2 and generation <= $3")
        .bind(tenant.as_str())
        .bind(model.as_str())
        .bind(generation)
        .execute(on)
        .await
        .map_err(Error::of("follow a rollout"))?;
    Ok(done.rows_affected())
}

macro_rules! select_version {
    ($tail:literal) => {
        concat!(
            "select tenant, model_type, name, version, artifact_uri, status, traffic_pct, upstream, headers, metadata, created_at, updated_at ",
            "from model_registry ",
            $tail
        )
    };
}

pub(crate) async fn version(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    version: &Version,
) -> Result<Option<VersionRow>, Error> {
    let row = sqlx::query(select_version!("where tenant = $1 and name = $2 and version = $3"))
        .bind(tenant.as_str())
        .bind(model.as_str())
        .bind(version.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a version"))?;
    row.as_ref().map(version_row).transpose()
}

pub(crate) async fn versions(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    before: (At, &str),
    limit: i64,
) -> Result<Vec<VersionRow>, Error> {
    let rows = sqlx::query(select_version!(
        "where tenant = $1 and name = $2 and (created_at, version) < ($3, $4) order by created_at desc, version desc limit $5"
    ))
    .bind(tenant.as_str())
    .bind(model.as_str())
    .bind(before.0.0)
    .bind(before.1)
    .bind(limit)
    .fetch_all(on)
    .await
    .map_err(Error::of("list versions"))?;
    rows.iter().map(version_row).collect()
}

pub(crate) async fn serving(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Vec<VersionRow>, Error> {
    let rows = sqlx::query(select_version!("where tenant = $1 and name = $2 and status in ('active', 'canary')"))
        .bind(tenant.as_str())
        .bind(model.as_str())
        .fetch_all(on)
        .await
        .map_err(Error::of("list serving versions"))?;
    rows.iter().map(version_row).collect()
}

/// The versions that a request may name.
pub(crate) async fn choices(on: &mut Connection) -> Result<Vec<VersionRow>, Error> {
    let rows =
        sqlx::query(select_version!("where status not in ('revoked', 'turned_back') order by tenant, name, version"))
            .fetch_all(on)
            .await
            .map_err(Error::of("list choices"))?;
    rows.iter().map(version_row).collect()
}

pub(crate) async fn models_of_type(
    on: &mut Connection,
    tenant: &Tenant,
    model_type: &str,
) -> Result<Vec<Model>, Error> {
    let rows = sqlx::query("select name from model where tenant = $1 and type = $2 order by name limit 200")
        .bind(tenant.as_str())
        .bind(model_type)
        .fetch_all(on)
        .await
        .map_err(Error::of("list models of a type"))?;
    rows.iter().map(|row| name(row, 0, Model::new)).collect()
}

fn version_row(row: &Row) -> Result<VersionRow, Error> {
    Ok(VersionRow {
        tenant: name(row, 0, Tenant::new)?,
        model_type: get(row, 1)?,
        name: name(row, 2, Model::new)?,
        version: name(row, 3, Version::new)?,
        artifact_uri: get(row, 4)?,
        status: get(row, 5)?,
        traffic_pct: get(row, 6)?,
        upstream: get(row, 7)?,
        headers: text(row, 8)?,
        metadata: text(row, 9)?,
        created_at: At(get(row, 10)?),
        updated_at: At(get(row, 11)?),
    })
}

pub(crate) async fn add_version(on: &mut Connection, row: &VersionRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into model_registry (model_id, tenant, model_type, name, version, artifact_uri, status, traffic_pct, upstream, headers, metadata, \
         created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) on conflict do nothing",
    )
    .bind(format!("{}/{}@{}", row.tenant, row.name, row.version))
    .bind(row.tenant.as_str())
    .bind(&row.model_type)
    .bind(row.name.as_str())
    .bind(row.version.as_str())
    .bind(row.artifact_uri.as_deref())
    .bind(&row.status)
    .bind(row.traffic_pct)
    .bind(&row.upstream)
    .bind(json("headers", &row.headers)?)
    .bind(json("metadata", &row.metadata)?)
    .bind(row.created_at.0)
    .execute(on)
    .await
    .map_err(Error::of("add a version"))?;
    Ok(done.rows_affected())
}

/// Sets a version's status and share where it has the status `from`: two replicas may hear of two moves at once.
pub(crate) async fn set_status(
    on: &mut Connection,
    key: (&Tenant, &Model, &Version),
    (from, status): (&str, &str),
    traffic_pct: f64,
    at: At,
) -> Result<u64, Error> {
    let done = sqlx::query(
        "update model_registry set status = $5, traffic_pct = $6, updated_at = $7 \
         where tenant = $1 and name = $2 and version = $3 and status = $4",
    )
    .bind(key.0.as_str())
    .bind(key.1.as_str())
    .bind(key.2.as_str())
    .bind(from)
    .bind(status)
    .bind(traffic_pct)
    .bind(at.0)
    .execute(on)
    .await
    .map_err(Error::of("set a version's status"))?;
    Ok(done.rows_affected())
}

pub(crate) async fn add_promotion(on: &mut Connection, row: &PromotionRow) -> Result<(), Error> {
    sqlx::query("insert into promotion (tenant, name, version, from_stage, to_stage, actor, rollout_id, at) values ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(row.tenant.as_str())
        .bind(row.name.as_str())
        .bind(row.version.as_str())
        .bind(&row.from_stage)
        .bind(&row.to_stage)
        .bind(&row.actor)
        .bind(row.rollout_id.as_str())
        .bind(row.at.0)
        .execute(on)
        .await
        .map_err(Error::of("record a promotion"))?;
    Ok(())
}

pub(crate) const PROMOTIONS: &str = "select id, tenant, name, version, from_stage, to_stage, actor, rollout_id, at from promotion \
    where tenant = $1 and name = $2 and id < $3 order by id desc limit $4";

/// The promotion history of a model, newest first, those recorded before the entry `before`, each with its number.
pub(crate) async fn promotions(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, PromotionRow)>, Error> {
    let rows = sqlx::query(PROMOTIONS)
        .bind(tenant.as_str())
        .bind(model.as_str())
        .bind(before)
        .bind(limit)
        .fetch_all(on)
        .await
        .map_err(Error::of("list promotions"))?;
    rows.iter()
        .map(|row| {
            let promotion = PromotionRow {
                tenant: name(row, 1, Tenant::new)?,
                name: name(row, 2, Model::new)?,
                version: name(row, 3, Version::new)?,
                from_stage: get(row, 4)?,
                to_stage: get(row, 5)?,
                actor: get(row, 6)?,
                rollout_id: name(row, 7, RolloutId::new)?,
                at: At(get(row, 8)?),
            };
            Ok((get(row, 0)?, promotion))
        })
        .collect()
}

/// The latest revision of a policy.
pub(crate) async fn policy(
    on: &mut Connection,
    tenant: &Tenant,
    policy: &PolicyName,
) -> Result<Option<PolicyRow>, Error> {
    let row = sqlx::query(
        "select tenant, name, revision, spec, created_by, created_at from policy where tenant = $1 and name = $2 order by revision desc limit 1",
    )
    .bind(tenant.as_str())
    .bind(policy.as_str())
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a policy"))?;
    row.as_ref().map(policy_row).transpose()
}

/// The latest revision of each policy.
pub(crate) async fn policies(
    on: &mut Connection,
    tenant: &Tenant,
    after: &str,
    limit: i64,
) -> Result<Vec<PolicyRow>, Error> {
    let rows = sqlx::query(
        "select tenant, name, revision, spec, created_by, created_at from policy p where tenant = $1 and name > $2 \
         and revision = (select max(revision) from policy where tenant = p.tenant and name = p.name) order by name limit $3",
    )
    .bind(tenant.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(on)
    .await
    .map_err(Error::of("list policies"))?;
    rows.iter().map(policy_row).collect()
}

fn policy_row(row: &Row) -> Result<PolicyRow, Error> {
    Ok(PolicyRow {
        tenant: name(row, 0, Tenant::new)?,
        name: name(row, 1, PolicyName::new)?,
        revision: get(row, 2)?,
        spec: text(row, 3)?,
        created_by: get(row, 4)?,
        created_at: At(get(row, 5)?),
    })
}

pub(crate) async fn add_policy(on: &mut Connection, row: &PolicyRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into policy (tenant, name, revision, spec, created_by, created_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(row.tenant.as_str())
    .bind(row.name.as_str())
    .bind(row.revision)
    .bind(json("policy", &row.spec)?)
    .bind(&row.created_by)
    .bind(row.created_at.0)
    .execute(on)
    .await
    .map_err(Error::of("save a policy"))?;
    Ok(done.rows_affected())
}
