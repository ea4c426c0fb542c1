//! Statements of those who only look: metrics and pages.

use rollout::{At, Model, RolloutId, Tenant, Version};

use super::columns::{bad, get, name, stage, unsigned};
use super::dialect::number;
use super::{Connection, Row};
use crate::Error;
use crate::rows::TargetRow;
use crate::standing::Standing;

/// Rollouts that are not over; the last tick's answers are read from the ledger by its key.
const STANDINGS: &str = concat!(
    "select rollout.id, rollout.tenant, rollout.model, candidate, previous, stage, step, (select ",
    number!("tick_row", "signals", "error", "count", "n"),
    " + 0.0 from tick where rollout_id = rollout.id and arm = 'candidate' and tick.tick = judge_state.tick), (select ",
    number!("tick_row", "signals", "error", "count", "n"),
    " + 0.0 from tick where rollout_id = rollout.id and arm = 'stable' and tick.tick = judge_state.tick) \
     from rollout left join judge_state on judge_state.rollout_id = rollout.id where rollout.wake_at is not null"
);

pub(crate) async fn standings(on: &mut Connection) -> Result<Vec<Standing>, Error> {
    let rows = sqlx::query(STANDINGS).fetch_all(on).await.map_err(Error::of("read where rollouts stand"))?;
    rows.iter().map(standing).collect()
}

fn standing(row: &Row) -> Result<Standing, Error> {
    let previous: Option<String> = get(row, 4)?;
    let (candidate, stable): (Option<f64>, Option<f64>) = (get(row, 7)?, get(row, 8)?);
    Ok(Standing {
        rollout_id: name(row, 0, RolloutId::new)?,
        tenant: name(row, 1, Tenant::new)?,
        model: name(row, 2, Model::new)?,
        candidate: name(row, 3, Version::new)?,
        previous: previous.map(Version::new).transpose().map_err(|cause| bad("version", &cause))?,
        stage: stage(row, 5)?,
        step: unsigned(row, 6)?,
        answers: candidate.zip(stable),
    })
}

pub(crate) async fn targets(on: &mut Connection) -> Result<Vec<TargetRow>, Error> {
    let rows = sqlx::query(
        "select target_id, desired_generation, applied_generation, request, observed, error, observed_at, drift_at from target_state order by target_id",
    )
    .fetch_all(on)
    .await
    .map_err(Error::of("list targets"))?;
    rows.iter().map(super::serving::target_row).collect()
}

pub(crate) async fn parked_count(on: &mut Connection) -> Result<i64, Error> {
    let row = sqlx::query("select count(*) from parked where replayed_at is null").fetch_one(on).await;
    get(&row.map_err(Error::of("count parked messages"))?, 0)
}

/// Position, subject and age of what was said behind `position`.
pub(crate) async fn subjects_after(
    on: &mut Connection,
    position: i64,
    limit: i64,
) -> Result<Vec<(i64, String, At)>, Error> {
    let rows =
        sqlx::query("select position, subject, created_at from outbox where position > $1 order by position limit $2")
            .bind(position)
            .bind(limit)
            .fetch_all(on)
            .await
            .map_err(Error::of("read the stream's subjects"))?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?, At(get(row, 2)?)))).collect()
}
