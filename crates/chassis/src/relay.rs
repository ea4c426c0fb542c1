//! The relay and the sweep. Over the in-process bus a message is published by its commit, so what is left of the relay is
//! to take away what everybody has settled.

use judge::Span;

use crate::core::Core;

/// Messages are kept this long after they were said.
const KEPT: Span = Span(10 * 60 * 1000);
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
    match core.store.sweep(core.bus.passed(), now.plus_ms(-KEPT.ms()), now).await {
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
