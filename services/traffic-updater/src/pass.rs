//! The updater's own pass: what no message asks for, what a message got lost for, and what routers were seen to serve without
//! being asked.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::{Bucket, Core, Error, Heard, Say, Stamped, Trace, Values, changes, failpoint, say_now};
use judge::Span;
use proto::serving::{Beat, Held, Word};
use proto::{Message, RouteNews, subject};
use rollout::{Direction, Route};
use tokio::sync::watch;

use crate::answer::answer;
use crate::count::Count;
use crate::drift::{Drifts, Live};
use crate::routers::Routers;

/// How often while a rollout is live, and else.
const PASS_AGAIN: (Span, Span) = (Span(1_000), Span(5_000));
/// After a pass comes a rest of so many times its own length, and no more than this: what is late waits for the next one.
const REST: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(1);
/// A value of our own is known as such by then; somebody else's is seen that much later.
const KNOWN_AFTER: Duration = Duration::from_millis(20);

/// Hears stops, and acts before any transaction, until the process stops. What it does not hear the pass finds in the table.
pub(crate) async fn stops(core: Core, routers: Routers) {
    let mut stops = core.bus.stops();
    loop {
        let heard = tokio::select! { heard = stops.next() => heard, () = core.stop.cancelled() => return };
        match heard {
            Some(Heard::Stop(command)) => {
                if let Err(error) = routers.stop(&command).await {
                    tracing::warn!(rollout.id = %command.rollout_id, "the stop of {} is on the bus, but not kept yet: {error:#}", command.rollout_id);
                }
            }
            // The pass reads the table.
            Some(Heard::Gap) => {}
            None => return,
        }
    }
}

/// Ends when somebody else has changed the bucket since `known`.
async fn strange(routers: &Routers, values: &mut watch::Receiver<Values>, known: &mut Values) {
    loop {
        if values.changed().await.is_err() {
            return std::future::pending().await;
        }
        let there = values.borrow_and_update().clone();
        tokio::time::sleep(KNOWN_AFTER).await;
        let now = values.borrow().clone();
        // What has changed again by now is looked at then.
        let is_strange =
            changes(known, &there).any(|(key, entry)| now.get(key) == Some(entry) && !routers.knows(key, entry));
        *known = there;
        if is_strange {
            return;
        }
    }
}

/// Whoever beats has missed two by then.
const BEAT_LIMIT: Span = Span(15_000);

/// The pass, and what it has said.
pub(crate) struct Pass {
    core: Core,
    routers: Routers,
    count: Count,
    drifts: Drifts,
    /// Ended leases that were reported, by router and generation.
    ended: BTreeSet<(String, i64)>,
}

impl Pass {
    pub(crate) fn new(core: Core, routers: Routers, count: Count) -> Self {
        let drifts = Drifts::new(&core, &routers, &count);
        Self { core, routers, count, drifts, ended: BTreeSet::new() }
    }

    /// Passes until the process stops.
    pub(crate) async fn run(mut self) {
        let (mut wait, mut values, mut known) = (PASS_AGAIN.0, self.routers.values(), Values::new());
        loop {
            tokio::select! {
                () = self.core.clock.sleep_until(self.core.clock.now().plus(wait)) => {}
                () = strange(&self.routers, &mut values, &mut known) => {}
                () = self.core.stop.cancelled() => return,
            }
            let began = tokio::time::Instant::now();
            wait = match self.once().await {
                Ok(is_live) => {
                    // However much there is to compare, and however often somebody changes it, most of the time is for requests.
                    let rest = (began.elapsed() * REST).min(REST_MAX);
                    tokio::select! { () = tokio::time::sleep(rest) => {}, () = self.core.stop.cancelled() => return }
                    if is_live { PASS_AGAIN.0 } else { PASS_AGAIN.1 }
                }
                Err(error) => {
                    tracing::warn!("can't compare the wished routes with the served ones, trying again: {error:#}");
                    PASS_AGAIN.0
                }
            };
        }
    }

    /// One pass; says whether a rollout is live.
    async fn once(&mut self) -> Result<bool, Error> {
        // Before the wishes: what is wished for later is not looked at now.
        let values = Values::clone(&self.routers.values().borrow());
        let mut reader = self.core.store.reader().await?;
        let mut wishes = reader.rows().routes().await?;
        let stopped = reader.rows().stopped().await?;
        drop(reader);
        let _ = failpoint::reach("updater_in_pass").await;
        for wish in &mut wishes {
            wish.stopped = wish.direction == Direction::Forward
                && wish.arms.len() > 1
                && wish.rollout_id.as_ref().is_some_and(|id| stopped.contains(id));
        }
        // A lease that ended is decided about before a newer route takes the place of the one that it ended on.
        let live = self.routers.live();
        self.report_ended(&wishes, &live).await?;
        for wish in &wishes {
            self.drifts.follow(wish, &live).await?;
        }
        self.drifts.nobodys(&values, &wishes);
        self.answer_late(&wishes).await?;
        Ok(wishes.iter().any(|wish| wish.rollout_id.is_some()))
    }

    /// Reports leases that ended at a router, once the control part is whole again: whoever decides about it now would do so in
    /// vain while the router hears no beat.
    async fn report_ended(&mut self, wishes: &[Route], live: &[Live]) -> Result<(), store::Error> {
        if !self.hears_beats() {
            return Ok(());
        }
        let mut seen = BTreeSet::new();
        for wish in wishes.iter().filter(|wish| wish.rollout_id.is_some()) {
            let place = subject::key(&wish.tenant, &wish.model);
            for router in live {
                if self.routers.word(router, &place)
                    != Some(Word { generation: wish.generation, held: Some(Held::Expired) })
                {
                    continue;
                }
                let key = (router.0.to_string(), wish.generation);
                if !self.ended.contains(&key) {
                    tracing::warn!(model = %wish.model, "router {} had no beat for {} s and serves {} of {} alone", key.0, wish.lease_seconds.unwrap_or(0), wish.stable, wish.model);
                    self.say(expired(wish, &key.0)).await?;
                    self.count.lease_expired.inc();
                }
                seen.insert(key);
            }
        }
        self.ended = seen;
        Ok(())
    }

    /// Answers requests that were answered with "not yet" once the routers serve them: the next repeat may be a minute away.
    async fn answer_late(&mut self, wishes: &[Route]) -> Result<(), store::Error> {
        for wish in wishes.iter().filter(|wish| wish.rollout_id.is_some()) {
            let Some((request, routers)) = self.routers.served_late(wish) else { continue };
            let (change, say) = answer(&request, 1, (wish, Ok(routers)), self.core.clock.now());
            let mut tx = self.core.store.begin().await?;
            tx.apply(&change).await?;
            say_now(&self.core.bus, tx, &self.stamped(&Trace::from_parent(None)), &[say]).await?;
            self.routers.close(&request);
        }
        Ok(())
    }

    fn stamped<'t>(&self, trace: &'t Trace) -> Stamped<'t> {
        Stamped { service: "traffic-updater", at: self.core.clock.now(), trace }
    }

    fn hears_beats(&self) -> bool {
        let beats = self.core.bus.watch(Bucket::Beat);
        let beat = beats.borrow().get(Beat::KEY).and_then(|entry| serde_json::from_str::<Beat>(&entry.value).ok());
        beat.is_some_and(|beat| self.core.clock.now().ms_since(beat.beat_at) <= BEAT_LIMIT.ms())
    }

    async fn say(&self, say: Say) -> Result<(), store::Error> {
        let trace = Trace::from_parent(None);
        say_now(&self.core.bus, self.core.store.begin().await?, &self.stamped(&trace), &[say]).await
    }
}

fn expired(wish: &Route, router: &str) -> Say {
    let rollout = wish.rollout_id.as_ref().map_or("none", |id| id.as_str());
    let news = RouteNews {
        tenant: wish.tenant.clone(),
        model: wish.model.clone(),
        rollout_id: wish.rollout_id.clone(),
        generation: wish.generation,
        target: router.to_owned(),
        found: None,
        stopped: false,
        reason: Some(format!("no beat for {} s", wish.lease_seconds.unwrap_or(0))),
    };
    // Once for each generation, so that a report that is said again is known.
    Say { id: format!("tu.{router}.{rollout}.{}.lease.1", wish.generation), message: Message::RouteExpired(news) }
}
