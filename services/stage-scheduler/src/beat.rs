//! The beat: a commit and a value on the bus every few seconds. Targets serve a candidate only as long as it goes on, so it says
//! no more than is true: the database takes a commit, the wheel turns, the bus takes a value.

use chassis::{Bucket, Core, Error, Pulse};
use judge::Span;
use proto::serving::Beat;
use store::{Change, Written};

/// A beat is due this often.
const BEAT_AGAIN: Span = Span(5_000);
/// A wheel that has not turned for this long stands still.
const WHEEL_LIMIT: Span = Span(10_000);

/// Beats until the process stops.
pub(crate) async fn beat(core: Core, mut pulse: Pulse) {
    let begun = tokio::select! { begun = pulse.begun() => begun, () = core.stop.cancelled() => false };
    if !begun {
        return;
    }
    loop {
        let turned = pulse.turned_at().is_some_and(|at| core.clock.now().ms_since(at) <= WHEEL_LIMIT.ms());
        if !turned {
            tracing::warn!("no beat: the deadlines have not been looked at for 10 s");
        } else if let Err(error) = once(&core).await {
            tracing::warn!("no beat, trying again in 5 s: {error:#}");
        }
        tokio::select! {
            () = core.clock.sleep_until(core.clock.now().plus(BEAT_AGAIN)) => {}
            () = core.stop.cancelled() => return,
        }
    }
}

/// One beat, unless another replica was quicker.
async fn once(core: &Core) -> Result<(), Error> {
    let mut tx = core.store.begin().await?;
    let last = tx.rows().beat().await?;
    let at = core.clock.now();
    if tx.apply(&Change::Beat { from: last.number, at }).await? == Written::Lost {
        return Ok(());
    }
    tx.commit().await?;
    let beat = Beat { number: last.number + 1, incarnation: last.incarnation, beat_at: at };
    core.bus.set(Bucket::Beat, Beat::KEY, beat.to_string()).await
}
