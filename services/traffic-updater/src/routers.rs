//! The routers as a target: one value in a bucket, taken by all of them, and a word of each that it serves it.

use std::time::Duration;

use chassis::{ALIVE, Bucket, Bus, Clock, Core, Entry, Roster, failpoint};
use judge::Span;
use proto::RolloutCommand;
use proto::serving::{Held, Word};
use rollout::{Direction, Route, RouterName};

/// How long a forward split waits for a router that does not confirm: longer than it takes to find it dead.
const FORWARD_LIMIT: Duration = Duration::from_secs(20);
/// A retreat is said again after a second anyway.
const BACK_LIMIT: Duration = Duration::from_secs(2);

/// The routers.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    bus: Bus,
    roster: Roster,
    clock: Clock,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Every live router serves it.
    By(Vec<String>),
    /// Not yet, with the reason.
    NotYet(String),
    /// A newer one is there.
    Older,
}

impl Routers {
    pub(crate) fn new(core: &Core) -> Self {
        Self { bus: core.bus.clone(), roster: Roster::new(&core.bus), clock: core.clock.clone() }
    }

    /// Puts the wish into the bucket, unless what is there is newer: a stale write can't win, because it names the revision
    /// that it read. Gives `false` when a newer one is there.
    pub(crate) async fn write(&self, wish: &Route) -> Result<bool, store::Error> {
        let key = proto::subject::key(&wish.tenant, &wish.model);
        loop {
            let there = self.bus.watch(Bucket::Route).borrow().get(&key).cloned();
            let served = there.as_ref().and_then(|entry| serde_json::from_str::<Route>(&entry.value).ok());
            let mut wish = wish.clone();
            match served {
                Some(served) if served.generation > wish.generation => return Ok(false),
                Some(served) => {
                    // That it was stopped is never taken away.
                    wish.stopped |= served.stopped && served.generation == wish.generation;
                    if served == wish {
                        return Ok(true);
                    }
                }
                None => {}
            }
            let value = text(&wish)?;
            if self
                .bus
                .put(Bucket::Route, &key, Entry { revision: there.map_or(0, |entry| entry.revision), value })
                .await?
            {
                return Ok(true);
            }
        }
    }

    /// Applies a wish and reads it back from every live router.
    pub(crate) async fn apply(&self, wish: &Route) -> Result<Applied, store::Error> {
        let mut said = self.roster.said();
        if !self.write(wish).await? {
            return Ok(Applied::Older);
        }
        let _ = failpoint::reach("updater_after_write").await;
        let limit = if wish.direction == Direction::Back { BACK_LIMIT } else { FORWARD_LIMIT };
        let confirmed = async {
            loop {
                said.borrow_and_update();
                let (serving, missing) = self.read(wish);
                if missing.is_empty() && !serving.is_empty() {
                    return serving;
                }
                // A heartbeat that grows old changes nothing in the bucket, so the wait also looks by itself.
                let _ = tokio::time::timeout(Duration::from_secs(1), said.changed()).await;
            }
        };
        if let Ok(serving) = tokio::time::timeout(limit, confirmed).await {
            return Ok(Applied::By(serving));
        }
        let (_, missing) = self.read(wish);
        Ok(Applied::NotYet(match missing.as_slice() {
            [] => "no router is alive".to_owned(),
            missing => format!("not confirmed by {}", missing.join(", ")),
        }))
    }

    /// The live routers that serve the wish, and those that do not.
    fn read(&self, wish: &Route) -> (Vec<String>, Vec<String>) {
        let serves = Word { generation: wish.generation, held: wish.stopped.then_some(Held::Stopped) };
        let (mut serving, mut missing) = (Vec::new(), Vec::new());
        for (router, word) in self.words(wish) {
            if word == Some(serves) { &mut serving } else { &mut missing }.push(router.to_string());
        }
        if wish.direction == Direction::Back {
            missing.extend(self.vanished(wish, serves));
        }
        (serving, missing)
    }

    /// The routers that may serve a candidate of the rollout still: they adopted a route of its model, are silent without having
    /// said that they leave, and their lease has not run out. The last beat may have reached them after their last word.
    fn vanished(&self, wish: &Route, serves: Word) -> Vec<String> {
        let (now, place) = (self.clock.now(), proto::subject::key(&wish.tenant, &wish.model));
        let lease = Span::from_secs(u64::from(wish.lease_seconds.unwrap_or(0)));
        let silent = self.roster.heartbeats().into_iter().filter(|(_, heartbeat)| !heartbeat.is_live(now));
        let may_serve = silent.filter_map(|(router, heartbeat)| {
            let left_ms = ALIVE.ms() + lease.ms() - now.ms_since(heartbeat.beat_at);
            let word = self.roster.adopted(&router, &heartbeat, &place)?;
            (!heartbeat.has_left && word != serves && left_ms > 0)
                .then(|| format!("{router}, which vanished (its lease ends in {} s)", left_ms / 1000))
        });
        may_serve.collect()
    }

    /// What the live routers say of the wish's model.
    pub(crate) fn words(&self, wish: &Route) -> Vec<(RouterName, Option<Word>)> {
        self.roster.words(self.clock.now(), &proto::subject::key(&wish.tenant, &wish.model))
    }

    /// Adds to the value of a stopped rollout that it was stopped: at once, and before anything is in the database.
    pub(crate) async fn stop(&self, command: &RolloutCommand) -> Result<(), store::Error> {
        let key = proto::subject::key(&command.tenant, &command.model);
        loop {
            let Some(there) = self.bus.watch(Bucket::Route).borrow().get(&key).cloned() else { return Ok(()) };
            let Ok(mut route) = serde_json::from_str::<Route>(&there.value) else { return Ok(()) };
            let is_it = route.rollout_id.as_ref() == Some(&command.rollout_id) && route.direction == Direction::Forward;
            if !is_it || route.stopped || route.arms.len() < 2 {
                return Ok(());
            }
            route.stopped = true;
            let _ = failpoint::reach("updater_before_stop").await;
            if self.bus.put_first(Bucket::Route, &key, Entry { revision: there.revision, value: text(&route)? }).await?
            {
                let _ = failpoint::reach("updater_after_stop").await;
                return Ok(());
            }
        }
    }
}

fn text(route: &Route) -> Result<String, store::Error> {
    serde_json::to_string(route).map_err(|cause| store::Error::Stored { what: "route", cause: cause.to_string() })
}
