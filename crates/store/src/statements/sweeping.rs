//! What is taken away when nobody needs it any more.

use rollout::At;

use super::{Connection, chassis, judging, notifying, serving};
use crate::Error;
use crate::write::SWEEP;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Those who write rows that go out of use.
const SERVICES: [&str; 3] = ["api", "analyzer", "notifier"];

/// Messages that everybody settled up to `position` and that are older than `said_before`, marks, answers and samples that are
/// out of use. Gives how many rows went.
pub(crate) async fn sweep(on: &mut Connection, position: i64, said_before: At, now: At) -> Result<u64, Error> {
    let mut gone = chassis::forget_said(on, position, said_before, at_once()).await?;
    gone += marks(on, now).await?;
    for service in SERVICES {
        gone += rows_of(on, service, now).await?;
    }
    Ok(gone)
}

/// The marks of a service, and what it alone writes. Where it has no role of its own, the marks of all.
pub(crate) async fn sweep_of(on: &mut Connection, service: &str, now: At) -> Result<u64, Error> {
    Ok(marks(on, now).await? + rows_of(on, service, now).await?)
}

async fn marks(on: &mut Connection, now: At) -> Result<u64, Error> {
    chassis::forget_marks(on, now.plus_ms(-8 * DAY), at_once()).await
}

async fn rows_of(on: &mut Connection, service: &str, now: At) -> Result<u64, Error> {
    match service {
        "api" => serving::forget_answers(on, now.plus_ms(-DAY), at_once()).await,
        "analyzer" => {
            let samples = judging::forget(on, now.plus_ms(-DAY), now.plus_ms(-DAY / 12), at_once()).await?;
            Ok(samples + judging::forget_ledgers(on, now.plus_ms(-30 * DAY), at_once()).await?)
        }
        "notifier" => notifying::forget(on, now.plus_ms(-30 * DAY), at_once()).await,
        _ => Ok(0),
    }
}

fn at_once() -> i64 {
    i64::try_from(SWEEP).unwrap_or(i64::MAX)
}
