//! What is taken away when nobody needs it any more.

use rollout::At;

use super::{Connection, chassis, judging, notifying, serving};
use crate::Error;
use crate::write::SWEEP;

/// Messages that everybody settled up to `position` and that are older than `said_before`, marks, answers and samples that are
/// out of use. Gives how many rows went.
pub(crate) async fn sweep(on: &mut Connection, position: i64, said_before: At, now: At) -> Result<u64, Error> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let at_once = i64::try_from(SWEEP).unwrap_or(i64::MAX);
    let mut gone = chassis::forget_said(on, position, said_before, at_once).await?;
    gone += chassis::forget_marks(on, now.plus_ms(-8 * DAY), at_once).await?;
    gone += serving::forget_answers(on, now.plus_ms(-DAY), at_once).await?;
    gone += judging::forget(on, now.plus_ms(-DAY), now.plus_ms(-DAY / 12), at_once).await?;
    gone += judging::forget_ledgers(on, now.plus_ms(-30 * DAY), at_once).await?;
    gone += notifying::forget(on, now.plus_ms(-30 * DAY), at_once).await?;
    Ok(gone)
}
