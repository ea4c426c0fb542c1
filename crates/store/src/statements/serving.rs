//! Statements of traffic-updater, deployer and api.

use rollout::{At, RolloutId, Tenant};
use serde_json::Value;

use super::columns::{get, name, text};
use super::dialect::old_rows;
use super::rollouts::due_row;
use super::{Connection, Row};
use crate::rows::{Due, IdempotencyRow, TargetRow, WorkloadRow};
use crate::{Error, json, stored};

pub(crate) async fn target(on: &mut Connection, id: &str) -> Result<Option<TargetRow>, Error> {
    let row = sqlx::query(
        "select target_id, desired_generation, applied_generation, request, observed, error, observed_at, drift_at from target_state where target_id = $1",
    )
    .bind(id)
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a target"))?;
    row.as_ref().map(target_row).transpose()
}

pub(crate) fn target_row(row: &Row) -> Result<TargetRow, Error> {
    Ok(TargetRow {
        target_id: get(row, 0)?,
        desired_generation: get(row, 1)?,
        applied_generation: get(row, 2)?,
        request: get(row, 3)?,
        observed: get::<Option<String>>(row, 4)?.map(|text| stored("observed", &text)).transpose()?,
        error: get(row, 5)?,
        observed_at: At(get(row, 6)?),
        drift_at: get::<Option<i64>>(row, 7)?.map(At),
    })
}

pub(crate) async fn drifted(on: &mut Connection, target_id: &str, since: Option<At>) -> Result<u64, Error> {
    let done = sqlx::query("update target_state set drift_at = $2 where target_id = $1")
        .bind(target_id)
        .bind(since.map(|at| at.0))
        .execute(on)
        .await
        .map_err(Error::of("note that a target drifted"))?;
    Ok(done.rows_affected())
}

/// Writes what a target serves; never back to an older wish, and what was read back once stays read back.
pub(crate) async fn set_target(on: &mut Connection, row: &TargetRow) -> Result<u64, Error> {
    let observed = row.observed.as_ref().map(|observed| json("observed", observed)).transpose()?;
    let done = sqlx::query(
        "insert into target_state (target_id, desired_generation, applied_generation, request, observed, error, observed_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (target_id) do update set desired_generation = excluded.desired_generation, \
         applied_generation = case when target_state.applied_generation > excluded.applied_generation \
         then target_state.applied_generation else excluded.applied_generation end, request = excluded.request, observed = coalesce(excluded.observed, target_state.observed), error = excluded.error, \
         observed_at = excluded.observed_at where target_state.desired_generation <= excluded.desired_generation",
    )
    .bind(&row.target_id)
    .bind(row.desired_generation)
    .bind(row.applied_generation)
    .bind(row.request.as_deref())
    .bind(observed)
    .bind(row.error.as_deref())
    .bind(row.observed_at.0)
    .execute(on)
    .await
    .map_err(Error::of("write a target"))?;
    Ok(done.rows_affected())
}

pub(crate) async fn workload(on: &mut Connection, id: &RolloutId) -> Result<Option<WorkloadRow>, Error> {
    let row = sqlx::query(
        "select rollout_id, request, attempt, state, error, tries, wake_at from workload where rollout_id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a workload"))?;
    row.as_ref().map(workload_row).transpose()
}

fn workload_row(row: &Row) -> Result<WorkloadRow, Error> {
    Ok(WorkloadRow {
        rollout_id: name(row, 0, RolloutId::new)?,
        request: text(row, 1)?,
        attempt: get(row, 2)?,
        state: get(row, 3)?,
        error: get(row, 4)?,
        tries: get(row, 5)?,
        wake_at: get::<Option<i64>>(row, 6)?.map(At),
    })
}

/// A new row, or the one that comes after those tries of that attempt.
pub(crate) async fn set_workload(
    on: &mut Connection,
    row: &WorkloadRow,
    from: Option<(i64, i64)>,
) -> Result<u64, Error> {
    let insert = "insert into workload (request, attempt, state, error, tries, wake_at, rollout_id) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict do nothing";
    let update = "update workload set request = $1, attempt = $2, state = $3, error = $4, tries = $5, wake_at = $6 \
         where rollout_id = $7 and attempt = $8 and tries = $9";
    let written = sqlx::query(if from.is_some() { update } else { insert })
        .bind(json("request", &row.request)?)
        .bind(row.attempt)
        .bind(&row.state)
        .bind(row.error.as_deref())
        .bind(row.tries)
        .bind(row.wake_at.map(|at| at.0))
        .bind(row.rollout_id.as_str());
    let written = match from {
        Some((attempt, tries)) => written.bind(attempt).bind(tries),
        None => written,
    };
    let done = written.execute(on).await.map_err(Error::of("write a workload"))?;
    Ok(done.rows_affected())
}

pub(crate) const DUE: &str = "select rollout_id, tries, wake_at from workload where wake_at is not null and wake_at < $1 order by wake_at limit $2";

pub(crate) async fn due_workloads(on: &mut Connection, before: At, limit: i64) -> Result<Vec<Due>, Error> {
    let rows =
        sqlx::query(DUE).bind(before.0).bind(limit).fetch_all(on).await.map_err(Error::of("read due workloads"))?;
    rows.iter().map(due_row).collect()
}

pub(crate) async fn answered(on: &mut Connection, tenant: &Tenant, key: &str) -> Result<Option<IdempotencyRow>, Error> {
    let row = sqlx::query("select tenant, key, request_hash, message_id, answer, created_at from idempotency where tenant = $1 and key = $2")
        .bind(tenant.as_str())
        .bind(key)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read an answer"))?;
    row.map(|row| {
        Ok(IdempotencyRow {
            tenant: name(&row, 0, Tenant::new)?,
            key: get(&row, 1)?,
            request_hash: get(&row, 2)?,
            message_id: get(&row, 3)?,
            answer: text(&row, 4)?,
            created_at: At(get(&row, 5)?),
        })
    })
    .transpose()
}

pub(crate) async fn answer(on: &mut Connection, row: &IdempotencyRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into idempotency (tenant, key, request_hash, message_id, answer, created_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(row.tenant.as_str())
    .bind(&row.key)
    .bind(&row.request_hash)
    .bind(&row.message_id)
    .bind(json("answer", &row.answer)?)
    .bind(row.created_at.0)
    .execute(on)
    .await
    .map_err(Error::of("keep an answer"))?;
    Ok(done.rows_affected())
}

/// Keeps the answer of a write that is remembered without one.
pub(crate) async fn keep_answer(on: &mut Connection, tenant: &Tenant, key: &str, answer: &Value) -> Result<u64, Error> {
    let done = sqlx::query("update idempotency set answer = $3 where tenant = $1 and key = $2 and answer = 'null'")
        .bind(tenant.as_str())
        .bind(key)
        .bind(json("answer", answer)?)
        .execute(on)
        .await
        .map_err(Error::of("keep an answer"))?;
    Ok(done.rows_affected())
}

/// Takes answers away that are older than `before`.
pub(crate) async fn forget_answers(on: &mut Connection, before: At, limit: i64) -> Result<u64, Error> {
    let old = old_rows!("idempotency", "where created_at < $1 order by created_at");
    let done = sqlx::query(old).bind(before.0).bind(limit).execute(on).await;
    Ok(done.map_err(Error::of("forget answers"))?.rows_affected())
}
