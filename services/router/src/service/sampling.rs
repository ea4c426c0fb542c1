//! When what was counted is sent: at each adoption, each third of a tick while a rollout is live, once a minute otherwise, and
//! only when something changed. Samples are cumulative, so a lost one costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::{Clock, Say};
use proto::{Message, RequestsCounted, Sampled};
use rollout::{At, Model, Route, Tenant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::feed::Feed;
use crate::counts::{ArmCount, Counts};
use crate::routes::Routes;

/// Without a rollout the sample is for the baseline.
const IDLE_MS: u32 = 60_000;
/// With a rollout whose route does not say how often.
const LIVE_MS: u32 = 5_000;

/// What was counted is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// After a failure nothing is sent for this long: the counts are cumulative, so there is no hurry.
const PAUSE_MS: i64 = 1_000;

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
    feed: Feed,
    /// `<router>.<boot>`.
    source: String,
    counts: Counts,
    clock: Clock,
    sent: BTreeMap<(Tenant, Model), Last>,
    count: u64,
    /// When sending last failed, until it works again.
    failed_at: Option<At>,
}

impl Sampling {
    pub(super) fn new(feed: Feed, counts: Counts, clock: Clock) -> Self {
        let source = feed.source();
        Self { feed, source, counts, clock, sent: BTreeMap::new(), count: 0, failed_at: None }
    }

    /// Sends a route that was adopted at once and the others when they are due; what is left once adoption has ended.
    pub(super) async fn run(mut self, routes: Routes, mut adopted: UnboundedReceiver<Route>) {
        let mut look = tokio::time::interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                fresh = adopted.recv() => match fresh {
                    Some(route) => self.send(&route).await,
                    None => break,
                },
                _ = look.tick() => {
                    for route in routes.served() {
                        if self.is_due(&route) {
                            self.send(&route).await;
                        }
                    }
                }
            }
        }
        for route in routes.served() {
            if self.sent_of(&route).is_none_or(|last| last.counted != self.counted(&route)) {
                self.send(&route).await;
            }
        }
    }

    fn sent_of(&self, route: &Route) -> Option<&Last> {
        self.sent.get(&(route.tenant.clone(), route.model.clone()))
    }

    fn is_due(&self, route: &Route) -> bool {
        if self.failed_at.is_some_and(|at| self.clock.now().ms_since(at) < PAUSE_MS) {
            return false;
        }
        let every = if route.rollout_id.is_some() { route.sample_ms.unwrap_or(LIVE_MS) } else { IDLE_MS };
        let Some(last) = self.sent_of(route) else { return true };
        self.clock.now().ms_since(last.at) >= i64::from(every) && self.counted(route) != last.counted
    }

    fn arms(&self, route: &Route) -> Vec<ArmCount> {
        let mut arms = self.counts.of_model(&route.tenant, &route.model);
        arms.retain(|arm| route.arms.iter().any(|served| served.version == arm.version));
        arms
    }

    fn counted(&self, route: &Route) -> Vec<(u64, u64)> {
        self.arms(route).iter().map(|arm| (arm.requests, arm.ended)).collect()
    }

    async fn send(&mut self, route: &Route) {
        let now = self.clock.now();
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
        match self.feed.send(now, say).await {
            Ok(()) => {
                self.failed_at = None;
                self.sent.insert((route.tenant.clone(), route.model.clone()), Last { at: now, counted });
            }
            Err(error) => {
                if self.failed_at.replace(now).is_none() {
                    tracing::warn!(
                        "can't send what was counted for {}; the next sample carries it: {error}",
                        route.model
                    );
                }
            }
        }
    }
}

fn sampled(arm: &ArmCount) -> Sampled {
    Sampled {
        version: arm.version.clone(),
        requests: arm.requests,
        by_request_id: arm.keyed_by_request,
        signals: arm.signals(),
        spreads: arm.spreads.clone(),
        exposed: arm.exposed.clone(),
    }
}
