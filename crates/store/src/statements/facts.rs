//! Statements of the event stream: the log of all rollouts in the order of its instants.

use rollout::{At, Model, RolloutId, Tenant, Version};

use super::Connection;
use super::columns::{get, name};
use super::log::transition;
use crate::Error;
use crate::rows::{FactRow, FactsOf};

macro_rules! select_facts {
    ($tail:literal) => {
        concat!(
            "select t.rollout_id, t.version, t.from_stage, t.to_stage, t.step, t.fact_kind, t.fact_source, t.fact_id, t.fact, t.actor, t.reason, t.evidence, ",
            "t.decided_at, r.tenant, r.model, r.candidate, r.previous from transition t join rollout r on r.id = t.rollout_id ",
            "where (t.decided_at, t.rollout_id, t.version) > ($1, $2, $3) and ($4 is null or r.tenant = $4) ",
            $tail
        )
    };
}

const OF_ALL: &str = select_facts!("and $5 is null order by t.decided_at, t.rollout_id, t.version limit $6");
/// One rollout is found by its key, however long the log of the others is.
const OF_ONE: &str = select_facts!("and t.rollout_id = $5 order by t.decided_at, t.rollout_id, t.version limit $6");

/// The log behind `after` (instant, rollout and version of an entry).
pub(crate) async fn after(
    on: &mut Connection,
    after: (At, &str, i64),
    of: FactsOf<'_>,
    limit: i64,
) -> Result<Vec<FactRow>, Error> {
    let (tenant, id) = of;
    let rows = sqlx::query(if id.is_some() { OF_ONE } else { OF_ALL })
        .bind(after.0.0)
        .bind(after.1)
        .bind(after.2)
        .bind(tenant.map(Tenant::as_str))
        .bind(id.map(RolloutId::as_str))
        .bind(limit)
        .fetch_all(on)
        .await
        .map_err(Error::of("read the log of all rollouts"))?;
    rows.iter()
        .map(|row| {
            let previous: Option<String> = get(row, 16)?;
            Ok(FactRow {
                tenant: name(row, 13, Tenant::new)?,
                model: name(row, 14, Model::new)?,
                candidate: name(row, 15, Version::new)?,
                previous: previous
                    .map(Version::new)
                    .transpose()
                    .map_err(|cause| Error::Stored { what: "version", cause: cause.to_string() })?,
                entry: transition(row)?,
            })
        })
        .collect()
}
