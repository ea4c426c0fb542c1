//! The stop road: `rollback` and `cancel` with almost nothing alive. The command is published in this process at the same moment
//! at which it is committed; one of the two is enough to take the traffic back. What the database does not take is remembered
//! and recorded when it is back, under the same id.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use chassis::{Bucket, Bus, Clock, Core, Roster, Say, Stamped, Trace, say_now};
use proto::http::Commanded;
use proto::serving::{Held, Word};
use proto::{Message, RolloutCommand, subject};
use rollout::{Direction, Route};
use store::{Change, IdempotencyRow, StopRow};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use crate::problem::{Answer, Refusal};
use crate::said::OUTCOME_LIMIT;

/// Stops that wait for the database at once; more of them are refused, and can be said again.
static WAITING: Semaphore = Semaphore::const_new(1_000);
/// The wait before a stop is recorded again, doubled each time up to the second figure.
const RECORD_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A stop as it is said and recorded.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) id: String,
    pub(crate) command: RolloutCommand,
    pub(crate) key: Option<IdempotencyRow>,
}

impl Stop {
    pub(crate) fn new(command: RolloutCommand, key: Option<IdempotencyRow>) -> Self {
        let id = key.as_ref().map_or_else(|| format!("cmd.{}", Uuid::now_v7().simple()), |key| key.message_id.clone());
        Self { id, command, key }
    }

    /// Publishes and records it; `true` when it is recorded, `false` when that has to wait.
    pub(crate) async fn say(self, core: &Core) -> Answer<bool> {
        let slot = WAITING.try_acquire().map_err(|_| Refusal::unavailable("too many stops wait for the database"))?;
        let (published, publishing) = (core.clone(), self.clone());
        core.tasks.spawn(async move { publishing.publish(&published).await });
        let (told, first) = oneshot::channel();
        let of_task = core.clone();
        core.tasks.spawn(async move {
            self.record(&of_task, told).await;
            drop(slot);
        });
        let recorded = matches!(tokio::time::timeout(OUTCOME_LIMIT, first).await, Ok(Ok(true)));
        core.metrics.stopped(if recorded { "database" } else { "memory" });
        Ok(recorded)
    }

    async fn publish(&self, core: &Core) {
        let stamped = Stamped { service: "api", at: core.clock.now(), trace: &Trace::from_parent(None) };
        if let Err(error) = core.bus.stop(&stamped, &self.id, &self.command).await {
            let rollout = &self.command.rollout_id;
            tracing::warn!(rollout.id = %rollout, "the stop of {rollout} may not be heard before it is recorded: {error}");
        }
    }

    /// Records it, however long that takes; `told` hears what became of the first try.
    async fn record(self, core: &Core, told: oneshot::Sender<bool>) {
        let (mut told, mut wait) = (Some(told), RECORD_AGAIN.0);
        let rollout = &self.command.rollout_id;
        loop {
            let done = self.commit(core).await;
            if let Some(told) = told.take() {
                // Whoever waited may have gone.
                let _ = told.send(done.is_ok());
            }
            let Err(error) = done else { return };
            tracing::warn!(rollout.id = %rollout, "the stop of {rollout} can't be recorded yet, trying again in {wait:?}: {error:#}");
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RECORD_AGAIN.1),
                () = core.stop.cancelled() => {
                    tracing::error!(rollout.id = %rollout, "the stop of {rollout} was not recorded; the routers hold it, and its rollout turns back after the next start");
                    return;
                }
            }
        }
    }

    async fn commit(&self, core: &Core) -> Result<(), store::Error> {
        let mut tx = core.store.begin().await?;
        if let Some(key) = &self.key {
            // Another request under the key was quicker: its stop is this one.
            tx.apply(&Change::Idempotency(Box::new(key.clone()))).await?;
        }
        let command = &self.command;
        let row = StopRow {
            rollout_id: command.rollout_id.clone(),
            tenant: command.tenant.clone(),
            actor: command.actor.clone().unwrap_or_else(|| command.owner.clone()),
            reason: command.reason.clone(),
            stopped_at: core.clock.now(),
        };
        tx.apply(&Change::Stop(Box::new(row))).await?;
        let stamped = Stamped { service: "api", at: core.clock.now(), trace: &Trace::from_parent(None) };
        let say = Say { id: self.id.clone(), message: Message::RolloutStop(command.clone()) };
        say_now(&core.bus, tx, &stamped, &[say]).await
    }
}

/// Stops what the bus knows of, where the database can't even be read.
pub(crate) async fn blind(
    core: &Core,
    text: &str,
    command: impl FnOnce(&Route) -> Option<RolloutCommand>,
) -> Answer<(StatusCode, Json<Commanded>)> {
    let there = on_the_way(&core.bus, |route| is_called(route, text));
    let said = there.and_then(|route| Some((command(&route)?, route)));
    let Some((command, route)) = said else {
        return Err(Refusal::unavailable(
            "the database does not answer, and no router is known to serve such a rollout",
        ));
    };
    Stop::new(command, None).say(core).await?;
    let applied = held(&core.bus, &core.clock, &route).await;
    let status = if applied { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Commanded { applied, rollout: None })))
}

/// The route on the bus that gives a candidate traffic, and is the one that is looked for.
pub(crate) fn on_the_way(bus: &Bus, is_it: impl Fn(&Route) -> bool) -> Option<Route> {
    let routes = bus.watch(Bucket::Route);
    let routes = routes.borrow();
    let mut routes = routes.values().filter_map(|entry| serde_json::from_str::<Route>(&entry.value).ok());
    routes.find(|route| {
        route.rollout_id.is_some() && route.direction == Direction::Forward && route.arms.len() > 1 && is_it(route)
    })
}

/// Whether people mean this route by the id of a rollout, or by the name of a model.
pub(crate) fn is_called(route: &Route, text: &str) -> bool {
    route.rollout_id.as_ref().is_some_and(|id| id.as_str() == text) || route.model.as_str() == text
}

/// Waits until every live router says, from its disk, that it holds the route's candidates or has a newer route.
pub(crate) async fn held(bus: &Bus, clock: &Clock, route: &Route) -> bool {
    let (roster, place) = (Roster::new(bus), subject::key(&route.tenant, &route.model));
    let mut said = roster.said();
    let confirmed = async {
        loop {
            said.mark_unchanged();
            let words = roster.words(clock.now(), &place);
            let is_held = |word: Word| word.held == Some(Held::Stopped) || word.generation > route.generation;
            if !words.is_empty() && words.iter().all(|(_, word)| word.is_some_and(is_held)) {
                return;
            }
            let _ = said.changed().await;
        }
    };
    tokio::time::timeout(OUTCOME_LIMIT, confirmed).await.is_ok()
}
