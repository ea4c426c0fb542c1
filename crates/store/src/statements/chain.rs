//! The chain of a rollout's log: each entry's hash covers the entry and the hash before it.

use rollout::RolloutId;

use super::Connection;
use super::columns::get;
use super::log::{chained, transition};
use crate::Error;

/// The version of the first entry whose hash does not follow from the one before it.
pub(crate) async fn broken_link(on: &mut Connection, id: &RolloutId) -> Result<Option<i64>, Error> {
    let rows = sqlx::query(
        "select rollout_id, version, from_stage, to_stage, step, fact_kind, fact_source, fact_id, fact, actor, reason, evidence, decided_at, \
         previous_hash, hash from transition where rollout_id = $1 order by version",
    )
    .bind(id.as_str())
    .fetch_all(on)
    .await
    .map_err(Error::of("read the log's hashes"))?;
    let mut previous = Vec::new();
    for row in &rows {
        let entry = transition(row)?;
        let (fact, evidence): (String, Option<String>) = (get(row, 8)?, get(row, 11)?);
        let (before, hash): (Vec<u8>, Vec<u8>) = (get(row, 13)?, get(row, 14)?);
        if before != previous || hash != chained(&previous, &entry, &fact, evidence.as_deref()) {
            return Ok(Some(entry.version));
        }
        previous = hash;
    }
    Ok(None)
}
