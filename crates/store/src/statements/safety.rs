//! Statements about failing safe: the beat, and the rollouts that somebody stopped.

use rollout::{At, RolloutId};

use super::Connection;
use super::columns::{get, name};
use crate::Error;
use crate::rows::{BeatRow, StopRow};

pub(crate) async fn beat(on: &mut Connection) -> Result<BeatRow, Error> {
    let row = sqlx::query("select number, incarnation, beat_at from beat where one = 1")
        .fetch_one(on)
        .await
        .map_err(Error::of("read the beat"))?;
    Ok(BeatRow { number: get(&row, 0)?, incarnation: get(&row, 1)?, beat_at: At(get(&row, 2)?) })
}

/// One more beat behind beat `from`; one replica wins.
pub(crate) async fn add_beat(on: &mut Connection, from: i64, at: At) -> Result<u64, Error> {
    let done = sqlx::query("update beat set number = number + 1, beat_at = $1 where one = 1 and number = $2")
        .bind(at.0)
        .bind(from)
        .execute(on)
        .await
        .map_err(Error::of("beat"))?;
    Ok(done.rows_affected())
}

/// The database was restored: generations begin anew above those of every earlier incarnation. `false` when another one was quicker.
pub(crate) async fn begin_incarnation(on: &mut Connection, from: i64, to: i64) -> Result<bool, Error> {
    let done = sqlx::query("update beat set incarnation = $1 where one = 1 and incarnation = $2")
        .bind(to)
        .bind(from)
        .execute(on)
        .await
        .map_err(Error::of("begin an incarnation"))?;
    Ok(done.rows_affected() == 1)
}

/// Remembers that somebody stopped a rollout; the first to say so stays.
pub(crate) async fn add_stop(on: &mut Connection, row: &StopRow) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into stop (rollout_id, tenant, actor, reason, stopped_at) values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(row.rollout_id.as_str())
    .bind(row.tenant.as_str())
    .bind(&row.actor)
    .bind(row.reason.as_deref())
    .bind(row.stopped_at.0)
    .execute(on)
    .await
    .map_err(Error::of("stop a rollout"))?;
    Ok(done.rows_affected())
}

/// The stopped rollouts among those that a wished route still belongs to.
pub(crate) async fn stopped(on: &mut Connection) -> Result<Vec<RolloutId>, Error> {
    let rows = sqlx::query("select stop.rollout_id from route join stop on stop.rollout_id = route.rollout_id")
        .fetch_all(on)
        .await
        .map_err(Error::of("read stopped rollouts"))?;
    rows.iter().map(|row| name(row, 0, RolloutId::new)).collect()
}
