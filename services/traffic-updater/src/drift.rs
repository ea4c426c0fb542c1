//! Routers that serve something else than they were told. What somebody else put into the bucket is said, counted, and put right
//! where the wish's own generation can; where it can't, stage-scheduler wishes anew, above what was found. Routers that do not
//! follow for long are said too, and shown.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{Bucket, Core, Error, Heartbeat, Say, Stamped, Trace, Values, say_now};
use judge::Span;
use proto::serving::{Held, Word};
use proto::{Message, RouteNews};
use rollout::{At, Direction, OnDrift, RolloutId, Route, RouterName};
use store::Change;

use crate::count::Count;
use crate::routers::Routers;
use crate::target_id;
use crate::there::{Foreign, There};

/// Routers that have not followed for so long are no news that is on its way.
const APART_LIMIT: Span = Span(15_000);

/// Whoever stopped a rollout has recorded it by then, or can't any more.
const RECORD_LIMIT: Span = Span(5_000);

/// A router that lives.
pub(crate) type Live = (RouterName, Heartbeat);

/// What was found so far.
pub(crate) struct Drifts {
    core: Core,
    routers: Routers,
    count: Count,
    /// By key, the wish's generation and the revision of the foreign value that was said last.
    told: BTreeMap<String, (i64, i64)>,
    /// By key, the wish's generation and since when the routers do not follow it.
    apart: BTreeMap<String, (i64, At)>,
    /// By key, the wish's generation and since when its rollout is held as stopped without a record; none once it is said.
    held: BTreeMap<String, (i64, Option<At>)>,
    /// Targets that are shown as drifted; none until what an earlier process noted was read.
    noted: Option<BTreeSet<String>>,
}

impl Drifts {
    pub(crate) fn new(core: &Core, routers: &Routers, count: &Count) -> Self {
        let (core, routers, count) = (core.clone(), routers.clone(), count.clone());
        Self { core, routers, count, told: BTreeMap::new(), apart: BTreeMap::new(), held: BTreeMap::new(), noted: None }
    }

    /// Brings a wish into the bucket, and looks at who of the live routers follows.
    pub(crate) async fn follow(&mut self, wish: &Route, live: &[Live]) -> Result<(), Error> {
        let key = proto::subject::key(&wish.tenant, &wish.model);
        let there = self.routers.write(wish).await?;
        let stopped = matches!(&there, There::Wish(there) if there.stopped);
        let foreign = match there {
            There::Wish(_) | There::Older => None,
            There::Foreign(foreign) => Some(foreign),
            // A wish that was made after ours was read.
            There::Higher(found) if self.is_wished(wish, found.generation).await? => return Ok(()),
            There::Higher(found) => Some(found),
        };
        match &foreign {
            Some(foreign) => self.found(&key, wish, foreign).await?,
            None => drop(self.told.remove(&key)),
        }
        let words = live.iter().map(|router| (&router.0, self.routers.word(router, &key)));
        let words: Vec<_> = words.filter(|(_, word)| word.is_some() || !self.routers.is_silent_of(wish)).collect();
        let behind = words.iter().filter_map(|(router, word)| behind(wish, stopped, (router, *word))).collect();
        let holding = words.iter().filter(|(_, word)| holds(wish, *word)).map(|(router, _)| router.to_string());
        self.finish_stop(&key, wish, holding.collect()).await?;
        Ok(self.watch(key, wish, (foreign.as_ref(), behind)).await?)
    }

    /// Values of models that nobody wishes a route for: there is nothing to put in their place.
    pub(crate) fn nobodys(&mut self, values: &Values, wishes: &[Route]) {
        let wished: BTreeSet<_> = wishes.iter().map(|wish| proto::subject::key(&wish.tenant, &wish.model)).collect();
        for (key, entry) in values.iter().filter(|(key, _)| !wished.contains(*key)) {
            if self.told.insert(key.clone(), (0, entry.revision)) != Some((0, entry.revision)) {
                tracing::error!("somebody else put a route at {key} into the bucket, where no route is wished for");
                self.count.drifted();
            }
        }
    }

    async fn is_wished(&self, wish: &Route, generation: i64) -> Result<bool, store::Error> {
        let now = self.core.store.reader().await?.rows().route(&wish.tenant, &wish.model).await?;
        Ok(now.is_some_and(|now| now.generation >= generation))
    }

    async fn found(&mut self, key: &str, wish: &Route, foreign: &Foreign) -> Result<(), Error> {
        let change = (wish.generation, foreign.revision);
        let told = self.told.get(key).copied();
        if told != Some(change) {
            tracing::warn!(model = %wish.model, generation = wish.generation, found = foreign.generation,
                "somebody else changed the route of {}: in place of generation {} there is {}", wish.model, wish.generation, foreign.what);
            let news = news(wish, Some(foreign.generation), &foreign.what);
            self.say(None, Some(drifted(wish, news, foreign.revision))).await?;
            if told.is_none_or(|(_, revision)| revision != foreign.revision) {
                self.count.drifted();
            }
            self.told.insert(key.to_owned(), change);
        }
        if wish.on_drift == OnDrift::Restore && foreign.generation <= wish.generation {
            self.routers.put_right(wish, foreign).await?;
        }
        Ok(())
    }

    /// Notes, shows and says that the routers have not followed for long, and that they follow again.
    async fn watch(
        &mut self,
        key: String,
        wish: &Route,
        (foreign, behind): (Option<&Foreign>, Vec<String>),
    ) -> Result<(), store::Error> {
        let (now, target_id) = (self.core.clock.now(), target_id(&wish.tenant, &wish.model));
        let is_noted = self.noted().await?.contains(&target_id);
        if behind.is_empty() && foreign.is_none() {
            self.apart.remove(&key);
            if is_noted {
                tracing::info!(model = %wish.model, "the routers follow the route of {} again", wish.model);
                self.note(target_id, None, None).await?;
            }
            return Ok(());
        }
        let (generation, since) = *self.apart.entry(key.clone()).or_insert((wish.generation, now));
        if generation != wish.generation {
            self.apart.insert(key, (wish.generation, now));
        } else if !is_noted && now.ms_since(since) >= APART_LIMIT.ms() {
            let what =
                foreign.map_or_else(|| format!("not followed by {}", behind.join(", ")), |there| there.what.clone());
            let say = wish.rollout_id.is_some().then(|| drifted(wish, news(wish, None, &what), 0));
            self.note(target_id, Some(since), say).await?;
            // Once it is noted: a store that does not take it would have it said each second.
            tracing::error!(model = %wish.model, generation, "the route of {} has not been served as wished for 15 s: {what}", wish.model);
        }
        Ok(())
    }

    /// Says that routers hold the rollout as stopped, where its stop was never recorded: whoever said it died before. It is finished
    /// for them, because the rollout can't go on.
    async fn finish_stop(&mut self, key: &str, wish: &Route, holding: Vec<String>) -> Result<(), store::Error> {
        if holding.is_empty() {
            self.held.remove(key);
            return Ok(());
        }
        let now = self.core.clock.now();
        let (generation, since) = *self.held.entry(key.to_owned()).or_insert((wish.generation, Some(now)));
        if generation != wish.generation {
            self.held.insert(key.to_owned(), (wish.generation, Some(now)));
        } else if since.is_some_and(|since| now.ms_since(since) >= RECORD_LIMIT.ms()) {
            let what = format!("held by {}, where it was never recorded", holding.join(", "));
            self.say(None, Some(stop_seen(wish, &what))).await?;
            tracing::warn!(model = %wish.model, generation, "the rollout of {} is turned back: its stop is {what}", wish.model);
            self.held.insert(key.to_owned(), (generation, None));
        }
        Ok(())
    }

    async fn noted(&mut self) -> Result<&mut BTreeSet<String>, store::Error> {
        if self.noted.is_none() {
            let targets = self.core.store.reader().await?.rows().targets().await?;
            let drifted = targets.into_iter().filter(|target| target.drift_at.is_some());
            self.noted = Some(drifted.map(|target| target.target_id).collect());
        }
        Ok(self.noted.get_or_insert_default())
    }

    async fn note(&mut self, target_id: String, since: Option<At>, say: Option<Say>) -> Result<(), store::Error> {
        self.say(Some(Change::Drifted { target_id: target_id.clone(), since }), say).await?;
        let noted = self.noted().await?;
        if since.is_some() {
            noted.insert(target_id)
        } else {
            noted.remove(&target_id)
        };
        let count = i64::try_from(noted.len()).unwrap_or(i64::MAX);
        self.count.apart.set(count);
        Ok(())
    }

    async fn say(&self, change: Option<Change>, say: Option<Say>) -> Result<(), store::Error> {
        let mut tx = self.core.store.begin().await?;
        if let Some(change) = change {
            tx.apply(&change).await?;
        }
        let stamped =
            Stamped { service: "traffic-updater", at: self.core.clock.now(), trace: &Trace::from_parent(None) };
        say_now(&self.core.bus, tx, &stamped, say.as_slice()).await
    }
}

/// A router that does not follow the wish, in words. One whose lease ended is told about elsewhere.
fn behind(wish: &Route, stopped: bool, (router, word): (&RouterName, Option<Word>)) -> Option<String> {
    match word {
        Some(Word { generation, held }) if generation == wish.generation => (held == Some(Held::Stopped) && !stopped)
            .then(|| format!("{router}, which holds its rollout as stopped (a stop that was never recorded)")),
        _ => Some(router.to_string()),
    }
}

/// Whether a router that says this holds the wish's rollout as stopped, without a stop that is recorded. It may have an older route
/// of the rollout: the ones behind it are refused.
fn holds(wish: &Route, word: Option<Word>) -> bool {
    let is_on_trial = wish.rollout_id.is_some() && wish.direction == Direction::Forward && wish.arms.len() > 1;
    is_on_trial
        && !wish.stopped
        && word.is_some_and(|word| word.held == Some(Held::Stopped) && word.generation <= wish.generation)
}

fn news(wish: &Route, found: Option<i64>, what: &str) -> RouteNews {
    RouteNews {
        tenant: wish.tenant.clone(),
        model: wish.model.clone(),
        rollout_id: wish.rollout_id.clone(),
        generation: wish.generation,
        target: target_id(&wish.tenant, &wish.model),
        found,
        stopped: false,
        reason: Some(what.to_owned()),
    }
}

fn stop_seen(wish: &Route, what: &str) -> Say {
    let news = RouteNews { stopped: true, ..news(wish, None, what) };
    Say { id: id(wish, "stop", 1), message: Message::RouteDrifted(news) }
}

/// Which change it is tells one from the next, and is the same for whoever sees it; 0 stands for routers that do not follow.
fn drifted(wish: &Route, news: RouteNews, change: i64) -> Say {
    Say { id: id(wish, "drift", change), message: Message::RouteDrifted(news) }
}

fn id(wish: &Route, what: &str, count: i64) -> String {
    // The name of a model may be longer than an id.
    let key = proto::subject::key(&wish.tenant, &wish.model);
    let target = RolloutId::of(Bucket::Route.name(), &key);
    format!("tu.{target}.{}.{what}.{count}", wish.generation)
}
