//! What this service counts itself.

use chassis::Core;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// A kind of target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

/// The one kind there is.
const ROUTER: ByKind = ByKind { kind: "router" };

/// The counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) lease_expired: Counter,
    /// Targets that have not followed for long.
    pub(crate) apart: Gauge,
    drift: Family<ByKind, Counter>,
}

impl Count {
    pub(crate) fn new(core: &Core) -> Self {
        let count = Self::default();
        // From the start, so that the first change is a rise.
        count.drift.get_or_create(&ROUTER).inc_by(0);
        core.metrics.register(|registry| {
            registry.register(
                "lease_expired",
                "Leases that ended at a router because no beat came",
                count.lease_expired.clone(),
            );
            registry.register("target_drift", "Changes of a target by somebody else", count.drift.clone());
            registry.register(
                "targets_drifted",
                "Targets that have served something else than the wish for 15 s",
                count.apart.clone(),
            );
        });
        count
    }

    /// Somebody else changed a target.
    pub(crate) fn drifted(&self) {
        self.drift.get_or_create(&ROUTER).inc();
    }
}
