//! The routers as a target: one value in a bucket, taken by all of them, and a word of each that it serves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chassis::{ALIVE, Bucket, Bus, Clock, Core, Entry, Error, Heartbeat, Roster, Values, failpoint};
use judge::Span;
use proto::RolloutCommand;
use proto::serving::{Held, Word};
use rollout::{At, Direction, RolloutId, Route, RouterName};
use store::Store;
use tokio::sync::watch;

use crate::answer::Request;
use crate::known::Known;
use crate::there::{Foreign, There, compare};

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
    /// What was put into the bucket last, as far as this process knows, with its revision, by `<tenant>.<model>`.
    ours: Arc<Mutex<BTreeMap<String, (i64, Route)>>>,
    /// By key.
    begun: Arc<Mutex<BTreeMap<String, Begun>>>,
    /// By key, the request that was answered with "not yet".
    open: Arc<Mutex<BTreeMap<String, Request>>>,
    /// What was known when this process began, once it is read.
    known: Arc<OnceLock<Known>>,
    since: At,
}

/// The rollout of the latest wish of a model.
#[derive(Debug)]
struct Begun {
    rollout: Option<RolloutId>,
    /// Its first generation; the least where it began before this process.
    generation: i64,
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
        Self {
            bus: core.bus.clone(),
            roster: Roster::new(&core.bus),
            clock: core.clock.clone(),
            ours: Arc::default(),
            begun: Arc::default(),
            open: Arc::default(),
            known: Arc::default(),
            since: core.clock.now(),
        }
    }

    /// Puts the wish into the bucket where nothing or an older wish stands: a stale write can't win, because it names the revision
    /// that it read. Says what stands there in the end; what is newer or nobody's is left alone.
    pub(crate) async fn write(&self, wish: &Route) -> Result<There, Error> {
        let key = proto::subject::key(&wish.tenant, &wish.model);
        self.begins(&key, wish);
        loop {
            let there = self.bus.watch(Bucket::Route).borrow().get(&key).cloned();
            let ours = self.ours().get(&key).cloned();
            // Nearly always: nothing has changed since the last look.
            if let (Some((revision, ours)), Some(there)) = (&ours, &there)
                && *revision == there.revision
                && ours == wish
            {
                return Ok(There::Wish(Box::new(ours.clone())));
            }
            let ours = ours.map(|(_, ours)| ours);
            let compared = there.as_ref().map_or(There::Older, |entry| compare(&key, entry, wish, ours.as_ref()));
            let revision = there.map_or(0, |entry| entry.revision);
            match compared {
                There::Wish(found) if found.stopped || !wish.stopped => {
                    self.ours().insert(key, (revision, Route::clone(&found)));
                    return Ok(There::Wish(found));
                }
                There::Wish(_) | There::Older => {}
                There::Higher(_) | There::Foreign(_) => return Ok(compared),
            }
            if self.put(&key, revision, wish).await? {
                return Ok(There::Wish(Box::new(wish.clone())));
            }
        }
    }

    /// Puts the wish in the place of what somebody else put there; `false` when that is not there any more.
    pub(crate) async fn put_right(&self, wish: &Route, foreign: &Foreign) -> Result<bool, Error> {
        let key = proto::subject::key(&wish.tenant, &wish.model);
        // That it was stopped is never taken away, whether or not it is recorded yet.
        let was = |(_, ours): &(i64, Route)| ours.stopped && ours.generation == wish.generation;
        let was_stopped = self.ours().get(&key).is_some_and(was);
        self.put(&key, foreign.revision, &Route { stopped: wish.stopped || was_stopped, ..wish.clone() }).await
    }

    async fn put(&self, key: &str, revision: i64, route: &Route) -> Result<bool, Error> {
        let put = self.bus.put(Bucket::Route, key, Entry { revision, value: text(route)? }).await?;
        if let Some(put) = put {
            self.ours().insert(key.to_owned(), (put, route.clone()));
        }
        Ok(put.is_some())
    }

    /// Changes with every value of the bucket, whoever put it.
    pub(crate) fn values(&self) -> watch::Receiver<Values> {
        self.bus.watch(Bucket::Route)
    }

    /// Whether this process put a value there, or has seen that it is what is wished for.
    pub(crate) fn knows(&self, key: &str, entry: &Entry) -> bool {
        self.ours().get(key).is_some_and(|(revision, _)| *revision == entry.revision)
    }

    fn begins(&self, key: &str, wish: &Route) {
        let mut begun = locked(&self.begun);
        let generation = match begun.get(key) {
            None => i64::MIN,
            Some(begun) if begun.rollout != wish.rollout_id => wish.generation,
            Some(_) => return,
        };
        begun.insert(key.to_owned(), Begun { rollout: wish.rollout_id.clone(), generation });
    }

    /// Keeps the request that is not served yet, in the place of an older one of its model.
    pub(crate) fn leave_open(&self, request: &Request) {
        let (key, mut open) = (proto::subject::key(&request.asked.tenant, &request.asked.model), locked(&self.open));
        if open.get(&key).is_none_or(|there| there.asked.generation <= request.asked.generation) {
            open.insert(key, request.clone());
        }
    }

    /// The request is answered.
    pub(crate) fn close(&self, request: &Request) {
        let (key, mut open) = (proto::subject::key(&request.asked.tenant, &request.asked.model), locked(&self.open));
        if open.get(&key).is_some_and(|there| there.id == request.id) {
            open.remove(&key);
        }
    }

    /// The request for this wish that was answered with "not yet", and the routers, when all serve it now.
    pub(crate) fn served_late(&self, wish: &Route) -> Option<(Request, Vec<String>)> {
        let request = locked(&self.open).get(&proto::subject::key(&wish.tenant, &wish.model)).cloned()?;
        if request.asked.generation != wish.generation || wish.stopped {
            return None;
        }
        let (serving, missing) = self.read(wish);
        (missing.is_empty() && !serving.is_empty()).then_some((request, serving))
    }

    /// What was known when this process began, once `load` has been called.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.get()
    }

    /// Reads what was known when this process began.
    pub(crate) async fn load(&self, store: &Store) -> Result<(), store::Error> {
        let known = Known::load(store, &self.bus, self.since).await?;
        // Whoever was quicker has read the same.
        let _ = self.known.set(known);
        Ok(())
    }

    /// What routers say of themselves.
    pub(crate) const fn roster(&self) -> &Roster {
        &self.roster
    }

    fn ours(&self) -> MutexGuard<'_, BTreeMap<String, (i64, Route)>> {
        locked(&self.ours)
    }

    /// Applies a wish and reads it back from every live router.
    pub(crate) async fn apply(&self, wish: &Route) -> Result<Applied, Error> {
        let limit =
            tokio::time::Instant::now() + if wish.direction == Direction::Back { BACK_LIMIT } else { FORWARD_LIMIT };
        let mut values = self.values();
        loop {
            values.mark_unchanged();
            match self.write(wish).await? {
                There::Wish(_) => return Ok(self.confirmed(wish, limit).await),
                There::Higher(_) => return Ok(Applied::Older),
                // The pass puts it right, or somebody decides about it.
                There::Foreign(foreign) => {
                    if tokio::time::timeout_at(limit, values.changed()).await.is_err() {
                        return Ok(Applied::NotYet(format!("the bucket holds {}", foreign.what)));
                    }
                }
                There::Older => {}
            }
        }
    }

    /// Reads a wish that was written back from every live router.
    async fn confirmed(&self, wish: &Route, limit: tokio::time::Instant) -> Applied {
        let mut said = self.roster.said();
        let _ = failpoint::reach("updater_after_write").await;
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
        if let Ok(serving) = tokio::time::timeout_at(limit, confirmed).await {
            return Applied::By(serving);
        }
        let (_, missing) = self.read(wish);
        Applied::NotYet(match missing.as_slice() {
            [] => "no router is alive".to_owned(),
            missing => format!("not confirmed by {}", missing.join(", ")),
        })
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
        match self.known() {
            Some(known) => {
                let key = proto::subject::key(&wish.tenant, &wish.model);
                missing.extend(known.unheard(wish, &key, &self.roster, self.clock.now()));
            }
            None => missing.push("those that were there before the start".to_owned()),
        }
        (serving, missing)
    }

    /// The routers that may serve a candidate of the rollout still: they adopted a route of it, are silent without having said that
    /// they leave, and their lease has not run out, or they have none. The last beat may have reached them after their last word.
    fn vanished(&self, wish: &Route, serves: Word) -> Vec<String> {
        let (now, place) = (self.clock.now(), proto::subject::key(&wish.tenant, &wish.model));
        let first = locked(&self.begun).get(&place).map_or(i64::MIN, |begun| begun.generation);
        let silent = self.roster.heartbeats().into_iter().filter(|(_, heartbeat)| !heartbeat.is_live(now));
        let may_serve = silent.filter_map(|(router, heartbeat)| {
            let word = self.roster.adopted(&router, &heartbeat, &place)?;
            if heartbeat.has_left || word == serves || word.generation < first {
                return None;
            }
            let Some(lease) = wish.lease_seconds else {
                return Some(format!("{router}, which vanished and has no lease: start it again"));
            };
            let left_ms = ALIVE.ms() + Span::from_secs(u64::from(lease)).ms() - now.ms_since(heartbeat.beat_at);
            (left_ms > 0).then(|| format!("{router}, which vanished (its lease ends in {} s)", left_ms / 1000))
        });
        may_serve.collect()
    }

    /// The live routers: whoever asks about many wishes asks for them once.
    pub(crate) fn live(&self) -> Vec<(RouterName, Heartbeat)> {
        let (mut all, now) = (self.roster.heartbeats(), self.clock.now());
        all.retain(|(_, heartbeat)| heartbeat.is_live(now));
        all
    }

    /// What a router says of the wish's model.
    pub(crate) fn word(&self, (router, heartbeat): &(RouterName, Heartbeat), key: &str) -> Option<Word> {
        self.roster.adopted(router, heartbeat, key)
    }

    /// Whether routers need not have said anything of the wish: on a shared bus their words are forgotten, and without a rollout
    /// they do not say them again.
    pub(crate) fn is_silent_of(&self, wish: &Route) -> bool {
        self.bus.is_shared() && wish.rollout_id.is_none()
    }

    /// What the live routers say of the wish's model.
    pub(crate) fn words(&self, wish: &Route) -> Vec<(RouterName, Option<Word>)> {
        self.roster.words(self.clock.now(), &proto::subject::key(&wish.tenant, &wish.model))
    }

    /// Adds to the value of a stopped rollout that it was stopped: at once, and before anything is in the database.
    pub(crate) async fn stop(&self, command: &RolloutCommand) -> Result<(), Error> {
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
            let entry = Entry { revision: there.revision, value: text(&route)? };
            // Noted first: with the database down it is there all the same, and nobody else's. Which revision it gets is a guess.
            self.ours().insert(key.clone(), (there.revision + 1, route.clone()));
            if let Some(put) = self.bus.put_first(Bucket::Route, &key, entry).await? {
                self.ours().insert(key, (put, route));
                let _ = failpoint::reach("updater_after_stop").await;
                return Ok(());
            }
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(route: &Route) -> Result<String, store::Error> {
    serde_json::to_string(route).map_err(|cause| store::Error::Stored { what: "route", cause: cause.to_string() })
}
