//! Statements of analyzer: ledger, state, observations, baseline.

use rollout::{At, Model, RolloutId, Tenant, Version};

use super::columns::{get, name, text};
use super::dialect::{number, old_rows};
use super::rollouts::due_row;
use super::{Connection, Row};
use crate::rows::{BaselineRow, Due, JudgeRow, ObservationRow, TickRow};
use crate::{Error, json, stored};

pub(crate) async fn judge(on: &mut Connection, id: &RolloutId) -> Result<Option<JudgeRow>, Error> {
    let row = sqlx::query("select rollout_id, tenant, model, attempt, tick, request, state, verdict, wake_at from judge_state where rollout_id = $1")
        .bind(id.as_str())
        .fetch_optional(on)
        .await
        .map_err(Error::of("read an analysis"))?;
    row.as_ref().map(judge_row).transpose()
}

fn judge_row(row: &Row) -> Result<JudgeRow, Error> {
    Ok(JudgeRow {
        rollout_id: name(row, 0, RolloutId::new)?,
        tenant: name(row, 1, Tenant::new)?,
        model: name(row, 2, Model::new)?,
        attempt: get(row, 3)?,
        tick: get(row, 4)?,
        request: text(row, 5)?,
        state: text(row, 6)?,
        verdict: get::<Option<String>>(row, 7)?.map(|text| stored("verdict", &text)).transpose()?,
        wake_at: get::<Option<i64>>(row, 8)?.map(At),
    })
}

/// Writes an analysis; only if it still stands where it was computed from (`None`: there is none).
pub(crate) async fn set_judge(on: &mut Connection, row: &JudgeRow, from: Option<(i64, i64)>) -> Result<u64, Error> {
    let (request, state) = (json("request", &row.request)?, json("state", &row.state)?);
    let verdict = row.verdict.as_ref().map(|verdict| json("verdict", verdict)).transpose()?;
    let insert = "insert into judge_state (attempt, tick, request, state, verdict, wake_at, rollout_id, tenant, model) \
                  values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing";
    let update = "update judge_state set attempt = $1, tick = $2, request = $3, state = $4, verdict = $5, wake_at = $6 \
                  where rollout_id = $7 and tenant = $8 and model = $9 and attempt = $10 and tick = $11";
    let query = sqlx::query(if from.is_some() { update } else { insert })
        .bind(row.attempt)
        .bind(row.tick)
        .bind(request)
        .bind(state)
        .bind(verdict)
        .bind(row.wake_at.map(|at| at.0))
        .bind(row.rollout_id.as_str())
        .bind(row.tenant.as_str())
        .bind(row.model.as_str());
    let query = match from {
        Some((attempt, tick)) => query.bind(attempt).bind(tick),
        None => query,
    };
    Ok(query.execute(on).await.map_err(Error::of("write an analysis"))?.rows_affected())
}

pub(crate) async fn end_judge(on: &mut Connection, id: &RolloutId) -> Result<(), Error> {
    sqlx::query("update judge_state set wake_at = null where rollout_id = $1")
        .bind(id.as_str())
        .execute(on)
        .await
        .map_err(Error::of("end an analysis"))?;
    Ok(())
}

pub(crate) const DUE: &str = "select rollout_id, tick, wake_at from judge_state where wake_at is not null and wake_at < $1 order by wake_at limit $2";

pub(crate) async fn due(on: &mut Connection, before: At, limit: i64) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query(DUE).bind(before.0).bind(limit).fetch_all(on).await.map_err(Error::of("read due ticks"))?;
    rows.iter().map(due_row).collect()
}

pub(crate) async fn add_tick(on: &mut Connection, tick: &TickRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into tick (rollout_id, arm, tick, tick_row) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(tick.rollout_id.as_str())
    .bind(tick.arm)
    .bind(tick.tick)
    .bind(json("tick", &tick.row)?)
    .execute(on)
    .await
    .map_err(Error::of("close a tick"))?;
    Ok(done.rows_affected())
}

/// The ledger behind tick `after`, up to `most` ticks of it, both arms of a tick together, oldest first.
pub(crate) async fn ticks(
    on: &mut Connection,
    id: &RolloutId,
    (after, most): (i64, i64),
) -> Result<Vec<TickRow>, Error> {
    let rows = sqlx::query(
        "select rollout_id, arm, tick, tick_row from tick where rollout_id = $1 and tick > $2 and tick <= $3 order by tick, arm",
    )
    .bind(id.as_str())
    .bind(after)
    .bind(after.saturating_add(most))
    .fetch_all(on)
    .await
    .map_err(Error::of("read the ledger"))?;
    rows.iter()
        .map(|row| {
            let arm = if get::<String>(row, 1)? == "candidate" { "candidate" } else { "stable" };
            Ok(TickRow { rollout_id: name(row, 0, RolloutId::new)?, arm, tick: get(row, 2)?, row: text(row, 3)? })
        })
        .collect()
}

const EXPOSURE: &str = concat!(
    "select arm, coalesce(sum(",
    number!("tick_row", "signals", "error", "count", "n"),
    "), 0.0) + 0.0, coalesce(sum(",
    number!("tick_row", "signals", "error", "count", "k"),
    "), 0.0) + 0.0 from tick where rollout_id = $1 and ($2 is null or ",
    number!("tick_row", "step"),
    " = $2) group by arm order by arm"
);

/// What each arm has served in the ledger: the arm, its requests and its errors; in one step only, if one is named.
pub(crate) async fn exposure(
    on: &mut Connection,
    id: &RolloutId,
    step: Option<u32>,
) -> Result<Vec<(String, f64, f64)>, Error> {
    let rows = sqlx::query(EXPOSURE)
        .bind(id.as_str())
        .bind(step.map(i64::from))
        .fetch_all(on)
        .await
        .map_err(Error::of("add the ledger up"))?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?))).collect()
}

pub(crate) async fn observations(
    on: &mut Connection,
    tenant: &Tenant,
    model: &Model,
) -> Result<Vec<ObservationRow>, Error> {
    let rows = sqlx::query(
        "select tenant, model, version, source, generation, started_at, sampled_at, series from observation where tenant = $1 and model = $2 \
         order by version, source",
    )
    .bind(tenant.as_str())
    .bind(model.as_str())
    .fetch_all(on)
    .await
    .map_err(Error::of("read observations"))?;
    rows.iter()
        .map(|row| {
            Ok(ObservationRow {
                tenant: name(row, 0, Tenant::new)?,
                model: name(row, 1, Model::new)?,
                version: name(row, 2, Version::new)?,
                source: get(row, 3)?,
                generation: get(row, 4)?,
                started_at: At(get(row, 5)?),
                sampled_at: At(get(row, 6)?),
                series: text(row, 7)?,
            })
        })
        .collect()
}

/// Writes what a source has counted; only forward in time.
pub(crate) async fn observe(on: &mut Connection, row: &ObservationRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into observation (tenant, model, version, source, generation, started_at, sampled_at, series) values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (tenant, model, version, source) do update set generation = excluded.generation, sampled_at = excluded.sampled_at, \
         series = excluded.series where observation.sampled_at < excluded.sampled_at",
    )
    .bind(row.tenant.as_str())
    .bind(row.model.as_str())
    .bind(row.version.as_str())
    .bind(&row.source)
    .bind(row.generation)
    .bind(row.started_at.0)
    .bind(row.sampled_at.0)
    .bind(json("series", &row.series)?)
    .execute(on)
    .await
    .map_err(Error::of("write an observation"))?;
    Ok(done.rows_affected())
}

/// Takes observations away that have not grown since `before`, and baselines older than it.
pub(crate) async fn forget(
    on: &mut Connection,
    observed_before: At,
    minutes_before: At,
    limit: i64,
) -> Result<u64, Error> {
    let old = sqlx::query(old_rows!("observation", "where sampled_at < $1"))
        .bind(observed_before.0)
        .bind(limit)
        .execute(&mut *on)
        .await
        .map_err(Error::of("forget observations"))?;
    let minutes = sqlx::query(old_rows!("baseline", "where minute < $1"))
        .bind(minutes_before.0)
        .bind(limit)
        .execute(on)
        .await
        .map_err(Error::of("forget baselines"))?;
    Ok(old.rows_affected() + minutes.rows_affected())
}

/// Takes ledgers away whose rollout ended before `before`.
pub(crate) async fn forget_ledgers(on: &mut Connection, before: At, limit: i64) -> Result<u64, Error> {
    let of_ended = old_rows!(
        "tick",
        "where exists (select 1 from rollout where id = tick.rollout_id and wake_at is null and updated_at < $1)"
    );
    let done = sqlx::query(of_ended).bind(before.0).bind(limit).execute(on).await;
    Ok(done.map_err(Error::of("forget ledgers"))?.rows_affected())
}

pub(crate) async fn add_baseline(on: &mut Connection, row: &BaselineRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into baseline (tenant, model, version, minute, signals) values ($1, $2, $3, $4, $5) \
         on conflict (tenant, model, version, minute) do update set signals = excluded.signals",
    )
    .bind(row.tenant.as_str())
    .bind(row.model.as_str())
    .bind(row.version.as_str())
    .bind(row.minute.0)
    .bind(json("signals", &row.signals)?)
    .execute(on)
    .await
    .map_err(Error::of("write a baseline"))?;
    Ok(done.rows_affected())
}

pub(crate) async fn baselines(
    on: &mut Connection,
    key: (&Tenant, &Model, &Version),
    since: At,
) -> Result<Vec<BaselineRow>, Error> {
    let rows = sqlx::query(
        "select minute, signals from baseline where tenant = $1 and model = $2 and version = $3 and minute >= $4 order by minute",
    )
    .bind(key.0.as_str())
    .bind(key.1.as_str())
    .bind(key.2.as_str())
    .bind(since.0)
    .fetch_all(on)
    .await
    .map_err(Error::of("read the baseline"))?;
    rows.iter()
        .map(|row| {
            let minute = At(get(row, 0)?);
            Ok(BaselineRow {
                tenant: key.0.clone(),
                model: key.1.clone(),
                version: key.2.clone(),
                minute,
                signals: text(row, 1)?,
            })
        })
        .collect()
}
