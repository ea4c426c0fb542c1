//! The fence of a word that names a version of a rollout: read by the api, to say at once what moved, and by stage-scheduler,
//! whose word counts.

use rollout::Rollout;
use store::Rows;

/// The reason of a word that was meant for another stage or step.
pub const MOVED_SINCE: &str = "moved_since";

/// Whether stage and step are still those that the rollout had at `version`.
///
/// # Errors
/// The store's.
pub async fn still_there(rows: &mut Rows<'_>, row: &Rollout, version: i64) -> Result<bool, store::Error> {
    let entry = rows.history(&row.id, version.saturating_sub(1), 1).await?.into_iter().next();
    Ok(entry
        .is_some_and(|entry| entry.version == version && entry.to_stage == row.stage.name() && entry.step == row.step))
}
