//! The sweep: what nobody needs any more is taken away, a little at a time.

use judge::Span;

use crate::core::Core;

/// How often the sweep comes by.
const SWEEP_AGAIN: Span = Span(60_000);

/// Sweeps until the process stops.
pub(crate) async fn sweep(core: Core) {
    loop {
        tokio::select! {
            () = core.clock.sleep_until(core.clock.now().plus(SWEEP_AGAIN)) => {}
            () = core.stop.cancelled() => return,
        }
        while !core.stop.is_cancelled() && swept(&core).await >= store::SWEEP {}
    }
}

/// One sweep; gives how many rows went.
async fn swept(core: &Core) -> u64 {
    let now = core.clock.now();
    match core.bus.sweep(&core.store, now).await {
        Ok(rows) => {
            tracing::debug!("swept {rows} rows");
            rows
        }
        Err(error) => {
            tracing::warn!("can't sweep, trying again in a minute: {error:#}");
            0
        }
    }
}
