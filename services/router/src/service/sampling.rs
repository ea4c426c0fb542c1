//! When what was counted is sent: at each adoption, each third of a tick while a rollout is live, once a minute otherwise, and
//! only when something changed. Samples are cumulative, so a lost one costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::{Core, Say, Stamped, Trace};
use proto::{Message, RequestsCounted, Sampled};
use rollout::{At, Model, Route, Tenant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::counts::{ArmCount, Counts};
use crate::routes::Routes;

/// Without a rollout the sample is for the baseline.
const IDLE_MS: u32 = 60_000;
/// With a rollout whose route does not say how often.
const LIVE_MS: u32 = 5_000;

/// What was counted is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What was last sent of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    at: At,
    /// Requests and ends of each arm: any change shows in them.
    counted: Vec<(u64, u64)>,
}

/// What this router has sent.
#[derive(Debug)]
pub(super) struct Sampling {
    /// `<router>.<boot>`: another boot is another source, whose counts begin at 0.
    source: String,
    counts: Counts,
    sent: BTreeMap<(Tenant, Model), Last>,
    count: u64,
}

impl Sampling {
    pub(super) const fn new(source: String, counts: Counts) -> Self {
        Self { source, counts, sent: BTreeMap::new(), count: 0 }
    }

    /// Sends until the process stops: a route that was adopted at once, the others when they are due.
    pub(super) async fn run(mut self, core: Core, routes: Routes, mut adopted: UnboundedReceiver<Route>) {
        let mut look = tokio::time::interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                Some(route) = adopted.recv() => self.send(&core, &route).await,
                _ = look.tick() => {
                    for route in routes.served() {
                        if self.is_due(&core, &route) {
                            self.send(&core, &route).await;
                        }
                    }
                }
                () = core.stop.cancelled() => return,
            }
        }
    }

    fn is_due(&self, core: &Core, route: &Route) -> bool {
        let every = if route.rollout_id.is_some() { route.sample_ms.unwrap_or(LIVE_MS) } else { IDLE_MS };
        let Some(last) = self.sent.get(&(route.tenant.clone(), route.model.clone())) else { return true };
        core.clock.now().ms_since(last.at) >= i64::from(every) && self.counted(route) != last.counted
    }

    fn arms(&self, route: &Route) -> Vec<ArmCount> {
        let mut arms = self.counts.of_model(&route.tenant, &route.model);
        arms.retain(|arm| route.arms.iter().any(|served| served.version == arm.version));
        arms
    }

    fn counted(&self, route: &Route) -> Vec<(u64, u64)> {
        self.arms(route).iter().map(|arm| (arm.requests, arm.ended)).collect()
    }

    async fn send(&mut self, core: &Core, route: &Route) {
        let now = core.clock.now();
        let arms = self.arms(route);
        let counted = arms.iter().map(|arm| (arm.requests, arm.ended)).collect();
        let message = Message::RequestsCounted(RequestsCounted {
            tenant: route.tenant.clone(),
            model: route.model.clone(),
            router: self.source.clone(),
            generation: route.generation,
            started_at: At(i64::try_from(self.counts.started_at_ms()).unwrap_or(i64::MAX)),
            sampled_at: now,
            live: route.rollout_id.is_some(),
            arms: arms.iter().map(sampled).collect(),
        });
        self.count += 1;
        let say = Say { id: format!("ro.{}.{}", self.source, self.count), message };
        let stamped = Stamped { service: "router", at: now, trace: &Trace::from_parent(None) };
        if let Err(error) = core.bus.publish(&stamped, &[say]).await {
            tracing::warn!("can't send what was counted for {}; the next sample carries it: {error:#}", route.model);
            return;
        }
        self.sent.insert((route.tenant.clone(), route.model.clone()), Last { at: now, counted });
    }
}

fn sampled(arm: &ArmCount) -> Sampled {
    Sampled {
        version: arm.version.clone(),
        requests: arm.requests,
        by_request_id: arm.keyed_by_request,
        signals: arm.signals(),
        exposed: arm.exposed.clone(),
    }
}
