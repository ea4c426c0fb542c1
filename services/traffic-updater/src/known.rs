//! Which routers there were before this process: the bucket in which they describe themselves does not outlive it. Until each of
//! them has said something, or can't be there any more, nothing counts as applied without it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{ALIVE, Bucket, Bus, Core, Roster};
use judge::Span;
use rollout::{At, Direction, RolloutId, Route, RouterName};
use serde_json::json;
use store::{Change, Store, TargetRow};

use crate::routers::Routers;

/// The row that remembers them.
const TARGET_ID: &str = "routers";
/// A router that was silent for so long is not remembered: longer than leases are, but for a few.
const KEPT: Span = Span(60 * 60 * 1000);
/// A router that came or went is written down by then.
const LOOK_AGAIN: Span = Span(1_000);

/// What was known when this process began.
#[derive(Debug)]
pub(crate) struct Known {
    names: BTreeSet<RouterName>,
    /// By key, the rollout whose routes they may have adopted.
    rollouts: BTreeMap<String, RolloutId>,
    since: At,
}

impl Known {
    /// Reads what the process before remembered.
    pub(crate) async fn load(store: &Store, bus: &Bus, since: At) -> Result<Self, store::Error> {
        let row = store.reader().await?.rows().target(TARGET_ID).await?;
        let names = row.and_then(|row| serde_json::from_value(row.observed?.get("routers")?.clone()).ok());
        let rollout = |value: &str| serde_json::from_str::<Route>(value).ok()?.rollout_id;
        let values = bus.watch(Bucket::Route).borrow().clone();
        let rollouts = values.iter().filter_map(|(key, entry)| Some((key.clone(), rollout(&entry.value)?)));
        Ok(Self { names: names.unwrap_or_default(), rollouts: rollouts.collect(), since })
    }

    /// The routers that a wish has to wait for though nothing was heard of them yet: a forward split as long as they may be alive, a
    /// retreat as long as they may serve a candidate that they were given before. No beat of this process can have reached them.
    pub(crate) fn unheard(&self, wish: &Route, key: &str, roster: &Roster, now: At) -> Vec<String> {
        let wait = match wish.direction {
            Direction::Forward => ALIVE,
            Direction::Back if self.rollouts.get(key) != wish.rollout_id.as_ref() => return Vec::new(),
            Direction::Back => wish.lease_seconds.map_or(ALIVE, |seconds| Span::from_secs(u64::from(seconds))),
        };
        let left_ms = wait.ms() - now.ms_since(self.since);
        if left_ms <= 0 {
            return Vec::new();
        }
        let silent = self.silent(roster);
        silent
            .map(|name| format!("{name}, of which nothing was heard since the start ({} s left)", left_ms / 1000))
            .collect()
    }

    fn silent(&self, roster: &Roster) -> impl Iterator<Item = &RouterName> {
        self.names.iter().filter(|name| roster.heartbeat(name).is_none())
    }

    /// The routers that the next process should know of.
    fn names(&self, roster: &Roster, now: At) -> BTreeSet<RouterName> {
        let heard = roster.heartbeats().into_iter();
        let heard = heard.filter(|(_, heartbeat)| !heartbeat.has_left && now.ms_since(heartbeat.beat_at) < KEPT.ms());
        let silent = self.silent(roster).filter(|_| now.ms_since(self.since) < KEPT.ms());
        heard.map(|(name, _)| name).chain(silent.cloned()).collect()
    }
}

/// Reads what the process before knew, and then writes down which routers there are whenever that has changed, until the process
/// stops: the next one has to wait for them.
pub(crate) async fn keep(core: Core, routers: Routers) {
    let mut kept: Option<BTreeSet<RouterName>> = None;
    loop {
        if let Err(error) = once(&core, &routers, &mut kept).await {
            tracing::warn!("can't remember which routers there are, trying again: {error:#}");
        }
        tokio::select! {
            () = core.clock.sleep_until(core.clock.now().plus(LOOK_AGAIN)) => {}
            () = core.stop.cancelled() => return,
        }
    }
}

async fn once(core: &Core, routers: &Routers, kept: &mut Option<BTreeSet<RouterName>>) -> Result<(), store::Error> {
    let Some(known) = routers.known() else { return routers.load(&core.store).await };
    let names = known.names(routers.roster(), core.clock.now());
    if kept.as_ref().unwrap_or(&known.names) == &names {
        return Ok(());
    }
    let row = TargetRow {
        target_id: TARGET_ID.to_owned(),
        desired_generation: 0,
        applied_generation: 0,
        request: None,
        observed: Some(json!({ "routers": names })),
        error: None,
        observed_at: core.clock.now(),
        drift_at: None,
    };
    let mut tx = core.store.begin().await?;
    tx.apply(&Change::Target(Box::new(row))).await?;
    tx.commit().await?;
    *kept = Some(names);
    Ok(())
}
