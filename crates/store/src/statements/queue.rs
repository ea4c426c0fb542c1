//! Statements of stage-scheduler about rollouts that wait for their turn.

use rollout::{At, Model, Rollout, Tenant};

use super::Connection;
use super::rollouts::{rollout, select_rollout};
use crate::Error;

/// The model's queued rollouts, oldest first.
pub(crate) async fn queued(on: &mut Connection, tenant: &Tenant, model: &Model) -> Result<Vec<Rollout>, Error> {
    let rows =
        sqlx::query(select_rollout!("where tenant = $1 and model = $2 and stage = 'queued' order by created_at, id"))
            .bind(tenant.as_str())
            .bind(model.as_str())
            .fetch_all(on)
            .await
            .map_err(Error::of("read queued rollouts"))?;
    rows.iter().map(rollout).collect()
}

/// The model's queued rollouts look at `at` whether their turn has come.
pub(crate) async fn wake_queued(on: &mut Connection, tenant: &Tenant, model: &Model, at: At) -> Result<(), Error> {
    sqlx::query(
        "update rollout set wake_at = $3 where tenant = $1 and model = $2 and stage = 'queued' and wake_at > $3",
    )
    .bind(tenant.as_str())
    .bind(model.as_str())
    .bind(at.0)
    .execute(on)
    .await
    .map_err(Error::of("wake queued rollouts"))?;
    Ok(())
}
