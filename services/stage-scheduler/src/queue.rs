//! Rollouts that wait for their turn: who takes whose place, and who is next.

use chassis::{Commit, Failure, Incoming};
use proto::PromotionRequested;
use rollout::{At, Fact, Rollout, What, WhenLive};
use store::{Change, Due, Rows};

use crate::handler::{Told, moved, seen};

/// A newer promote takes the place of those that wait, and of the live one where it says so: in the commit that takes it in.
/// One that is nearly through, or has nothing to go back to, refuses, and the newer one waits for its end.
pub(crate) async fn overtake(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    (asked, newer): (&PromotionRequested, &Rollout),
    commit: Commit,
    now: At,
) -> Result<Commit, Failure> {
    let mut others =
        if asked.when_live == WhenLive::Reject { Vec::new() } else { rows.queued(&newer.tenant, &newer.model).await? };
    if asked.when_live == WhenLive::Supersede
        && let Some((live, _)) = rows.live(&newer.tenant, &newer.model, &newer.id).await?
    {
        others.extend(rows.rollout(&live).await?);
    }
    let mut commit = commit;
    for other in others {
        let Some(other) = rows.scene(&other.id).await? else { continue };
        let fact = Fact {
            what: What::Overtaken { by: newer.id.clone() },
            actor: asked.requested_by.clone(),
            reason: None,
            seen: seen(&other),
        };
        let told = Told { fact, source: &incoming.source, id: &incoming.id, evidence: None };
        let moved = moved(rows, &other, told, now).await?;
        // One that had no traffic yet is over at once.
        let ends = moved.changes.iter().any(|change| matches!(change, Change::WakeQueued { .. }));
        commit = commit.and(moved).wake(&newer.id, newer.version, ends.then_some(now));
    }
    Ok(commit)
}

/// The commit that ends a rollout has the model's queued one looked at now, and not when the wheel reads the rows again.
pub(crate) async fn woken(
    rows: &mut Rows<'_>,
    ended: &Rollout,
    mut commit: Commit,
    now: At,
) -> Result<Commit, Failure> {
    let queued = rows.queued(&ended.tenant, &ended.model).await?.into_iter().filter(|row| row.id != ended.id);
    commit.wakes.extend(queued.map(|row| Due { rollout_id: row.id, version: row.version, wake_at: now }));
    Ok(commit)
}
