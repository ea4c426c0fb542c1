//! What this service counts itself.

use chassis::Core;
use prometheus_client::metrics::counter::Counter;

/// The counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) lease_expired: Counter,
}

impl Count {
    pub(crate) fn new(core: &Core) -> Self {
        let count = Self::default();
        core.metrics.register(|registry| {
            registry.register(
                "lease_expired",
                "Leases that ended at a router because no beat came",
                count.lease_expired.clone(),
            );
        });
        count
    }
}
