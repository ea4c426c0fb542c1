//! The loop that takes routes and confirms them, the same wherever they come from.

use std::time::Duration;

use chassis::{Values, changes};
use rollout::Route;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::feed::Feed;
use super::sampling::Sampling;
use super::words::Words;
use super::{Life, holding};
use crate::proxy::Running;
use crate::routes::{Adoption, Routes};

/// A router says that it lives this often; without it for 15 s it is dead. Routes that were refused are tried again as often.
pub(super) const BEAT_AGAIN: Duration = Duration::from_secs(5);
/// What is served is said again in small parts, so often.
const WORDS_AGAIN: Duration = Duration::from_secs(1);
/// Requests in flight have this long when the router stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);
/// The last counts have this long when the router stops.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);

/// Says that the router lives, and what it serves, until the process stops: a new route must not wait while old ones are said again.
async fn live(life: Life, routes: Routes, feed: Feed) {
    let beats = async {
        let mut beat = tokio::time::interval(BEAT_AGAIN);
        loop {
            beat.tick().await;
            feed.beat(life.clock.now()).await;
        }
    };
    let words = async {
        let mut round = tokio::time::interval(WORDS_AGAIN);
        // Rounds that a server held up do not follow at once.
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            feed.say_again(&routes).await;
        }
    };
    tokio::select! { () = beats => {}, () = words => {}, () = life.stop.cancelled() => {} }
}

/// Follows the feed until the process stops. Adoption waits for nothing but the disk: what was counted is sent by a task of its own,
/// and what is adopted is said by another one.
pub(super) async fn follow(life: Life, running: Running, feed: Feed) {
    let sampling = Sampling::new(feed.clone(), running.counts.clone(), life.clock.clone());
    let (adopted, fresh) = mpsc::unbounded_channel();
    let mut sampler = life.tasks.spawn(sampling.run(running.routes.clone(), fresh));
    let words = Words::start(&life, running.routes.clone(), feed.clone());
    life.tasks.spawn(holding::stops(life.clone(), running.routes.clone(), (feed.clone(), words.clone())));
    life.tasks.spawn(holding::leases(life.clone(), running.routes.clone(), (feed.clone(), words.clone())));
    life.tasks.spawn(holding::saves(life.clone(), running.routes.clone(), words.clone()));
    let alive = life.tasks.spawn(live(life.clone(), running.routes.clone(), feed.clone()));
    let mut routes = feed.routes();
    let mut taken = Taken { feed: feed.clone(), words, routes: running.routes.clone(), settled: Values::new() };
    let mut again = tokio::time::interval(BEAT_AGAIN);
    routes.mark_changed();
    loop {
        tokio::select! {
            // A full disk may have room by now.
            _ = again.tick() => routes.mark_changed(),
            changed = routes.changed() => {
                if changed.is_err() { break }
                let values = routes.borrow_and_update().clone();
                for route in taken.take(&values).await {
                    // A sampler that is gone stops with the process.
                    let _ = adopted.send(route);
                }
            }
            () = life.stop.cancelled() => break,
        }
    }
    if !running.stop(DRAIN_LIMIT).await {
        tracing::warn!("some requests were cut off: they did not end within {DRAIN_LIMIT:?}");
    }
    drop(adopted);
    // What the last requests came to is worth a moment, and no more.
    if tokio::time::timeout(LAST_WORDS_LIMIT, &mut sampler).await.is_err() {
        sampler.abort();
    }
    // Its last word is that it has left.
    let _ = alive.await;
    feed.leave(life.clock.now()).await;
}

/// What was taken of the feed.
struct Taken {
    feed: Feed,
    words: Words,
    routes: Routes,
    /// What was settled last: served, or older than what is served. A server that went back gives a revision twice.
    settled: Values,
}

impl Taken {
    /// Adopts what is new, with one write to the disk, and has said what is on the disk now; gives the routes that are new.
    async fn take(&mut self, values: &Values) -> Vec<Route> {
        let mut offered = Vec::new();
        let mut settled = values.clone();
        for (key, entry) in changes(&self.settled, values) {
            match checked(key, &entry.value) {
                Ok(route) => offered.push((key, route)),
                Err(error) => {
                    tracing::error!("the route {key} does not decode, so the last one stays: {error}");
                    self.leave(&mut settled, key);
                }
            }
        }
        if offered.is_empty() {
            self.settled = settled;
            return Vec::new();
        }
        // First the beat: a route must not be held for want of one that is there.
        self.feed.hear(&self.routes).await;
        let adoptions = self.routes.adopt_all(offered.iter().map(|(_, route)| route.clone()).collect()).await;
        let mut new = Vec::new();
        for ((key, route), adoption) in offered.into_iter().zip(adoptions) {
            if let Adoption::Refused(reason) = &adoption {
                // Not confirmed, and tried again with the next beat.
                tracing::error!("the route {key} of generation {} is refused: {reason}", route.generation);
                self.leave(&mut settled, key);
                // If that is for a lock, it is said.
                self.words.say_first(&route);
                continue;
            }
            if adoption == Adoption::Stale {
                tracing::warn!(
                    "the route {key} of generation {} is older than the one that is served",
                    route.generation
                );
            }
            self.words.say(&route);
            if adoption == Adoption::Adopted {
                new.push(route);
            }
        }
        self.settled = settled;
        new
    }

    /// What stands at `key` is not settled: it is offered again.
    fn leave(&self, settled: &mut Values, key: &String) {
        match self.settled.get(key) {
            Some(entry) => drop(settled.insert(key.clone(), entry.clone())),
            None => drop(settled.remove(key)),
        }
    }
}

/// The route that stands at `key`, if it is one, and of that model.
pub(super) fn checked(key: &str, value: &str) -> Result<Route, String> {
    let route: Route = serde_json::from_str(value).map_err(|error| error.to_string())?;
    let own = proto::subject::key(&route.tenant, &route.model);
    if own == key { Ok(route) } else { Err(format!("it is the route of {own}")) }
}
