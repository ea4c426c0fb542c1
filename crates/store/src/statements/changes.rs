//! Which statement applies which change.

use super::{Connection, judging, log, notifying, queue, registry, rollouts, safety, serving};
use crate::Error;
use crate::change::{Change, Written};
use crate::known::Known;

pub(crate) async fn apply(on: &mut Connection, known: &mut Known, change: &Change) -> Result<Written, Error> {
    known.forget(change);
    let rows = match change {
        Change::Open { row, salt, entry } => rollouts::open(on, row, salt, entry).await?,
        Change::Move { row, from_version, entry } => {
            let previous = match known.log_end(&row.id, *from_version) {
                Some(known) => Some(known),
                None => log::end(on, &row.id, *from_version).await?,
            };
            rollouts::advance(on, row, *from_version, (entry, previous.as_deref())).await?
        }
        Change::Refuse(refusal) => rollouts::refuse(on, refusal).await.map(|()| 1)?,
        Change::Wish { route, from_generation, at } => rollouts::wish(on, route, *from_generation, *at).await?,
        Change::WakeQueued { tenant, model, at } => queue::wake_queued(on, tenant, model, *at).await.map(|()| 1)?,
        Change::Model(row) => registry::add_model(on, row).await?,
        Change::Version(row) => registry::add_version(on, row).await?,
        Change::Policy(row) => registry::add_policy(on, row).await?,
        Change::Followed { tenant, model, generation } => registry::followed(on, tenant, model, *generation).await?,
        Change::Status { tenant, model, version, from, status, traffic_pct, at } => {
            registry::set_status(on, (tenant, model, version), (from, status), *traffic_pct, *at).await?
        }
        Change::Promotion(row) => registry::add_promotion(on, row).await.map(|()| 1)?,
        Change::Tick(row) => judging::add_tick(on, row).await?,
        Change::Judge { row, from } => judging::set_judge(on, row, *from).await?,
        Change::JudgeEnded(id) => judging::end_judge(on, id).await.map(|()| 1)?,
        // An older sample or wish than the one there is late, not lost: the newer one stays.
        Change::Observe(row) => judging::observe(on, row).await.map(|_| 1)?,
        Change::Baseline(row) => judging::add_baseline(on, row).await?,
        Change::Target(row) => serving::set_target(on, row).await.map(|_| 1)?,
        Change::Drifted { target_id, since } => serving::drifted(on, target_id, *since).await.map(|_| 1)?,
        Change::Deliver(row) => notifying::deliver(on, row).await.map(|_| 1)?,
        Change::Attempted { row, from } => notifying::attempted(on, row, *from).await?,
        Change::Workload { row, from } => serving::set_workload(on, row, *from).await?,
        Change::Beat { from, at } => safety::add_beat(on, *from, *at).await?,
        // Whoever stopped it first is remembered.
        Change::Stop(row) => safety::add_stop(on, row).await.map(|_| 1)?,
        Change::Idempotency(row) => serving::answer(on, row).await?,
        Change::Answered { tenant, key, answer } => serving::keep_answer(on, tenant, key, answer).await?,
    };
    Ok(Written::of(rows))
}
