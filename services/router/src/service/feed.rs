//! Where routes come from, and where a router's words go: one arm for each transport, and nothing else differs.

use std::sync::Arc;

use chassis::{Bucket, Bus, Heartbeat, Roster, Say, Stamped, Stops, Trace, Values};
use futures_util::{StreamExt as _, stream};
use proto::serving::Beat;
use rollout::{At, Model, Route, RouterName, Tenant};
use tokio::sync::watch;

use super::control::Control;
use crate::routes::Routes;

/// A server that writes each word to its disk takes as many in the time of one.
pub(super) const WORDS_AT_ONCE: usize = 64;

/// In so many rounds at most is everything said again.
const ROUNDS: usize = 20;

/// The other side of a router.
#[derive(Debug, Clone)]
pub(super) enum Feed {
    /// A bus.
    Bus(Arc<Local>),
    /// A control plane in another one.
    Control(Arc<Control>),
}

/// A router's place on the bus.
#[derive(Debug, Clone)]
pub(super) struct Local {
    bus: Bus,
    roster: Roster,
    name: RouterName,
    boot: String,
    /// The id of its folder; none where the database beside it is locked.
    home: String,
}

impl Feed {
    pub(super) fn bus(bus: &Bus, name: &RouterName, boot: &str, home: &str) -> Self {
        let (name, boot, home) = (name.clone(), boot.to_owned(), home.to_owned());
        Self::Bus(Arc::new(Local { bus: bus.clone(), roster: Roster::new(bus), name, boot, home }))
    }

    /// The applied routes by `<tenant>.<model>`, now and whenever they change.
    pub(super) fn routes(&self) -> watch::Receiver<Values> {
        match self {
            Self::Bus(local) => local.bus.watch(Bucket::Route),
            Self::Control(control) => control.routes(),
        }
    }

    /// `<router>.<boot>`: another boot is another source, whose counts begin at 0.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Bus(local) => format!("{}.{}", local.name, local.boot),
            Self::Control(control) => control.who().source(),
        }
    }

    /// Says that the router lives. It is said again, so a failure is only noted.
    pub(super) async fn beat(&self, now: At) {
        // The control plane hears it from a task of its own: adoption must not wait for an answer.
        let Self::Bus(local) = self else { return };
        let heartbeat = local.heartbeat(now, false);
        match local.roster.beat(&local.name, &heartbeat).await {
            Ok(true) => {}
            Ok(false) => tracing::error!("another router is called {}, so this one counts for nothing", local.name),
            Err(error) => tracing::warn!("can't say on the bus that {} lives: {error:#}", local.name),
        }
    }

    /// Says again a part of what is served of rollouts, where that is forgotten after a while: all at once, a thousand words would
    /// stand in front of a retreat everywhere.
    pub(super) async fn say_again(&self, routes: &Routes) {
        let Self::Bus(local) = self else { return };
        let of_rollouts: Vec<_> = routes.served().into_iter().filter(|route| route.rollout_id.is_some()).collect();
        let due = of_rollouts.iter().filter(|route| local.is_due(routes, route));
        let some: Vec<_> = due.take(of_rollouts.len() / ROUNDS + 1).collect();
        self.adopted(routes, some.iter().map(|route| (&route.tenant, &route.model))).await;
    }

    /// Stops as they are published.
    pub(super) fn stops(&self) -> Option<Stops> {
        match self {
            Self::Bus(local) => Some(local.bus.stops()),
            Self::Control(_) => None,
        }
    }

    /// Hears the beat that is on the bus; the control plane's comes with its answers.
    pub(super) async fn hear(&self, routes: &Routes) {
        let Self::Bus(local) = self else { return };
        let beat = local.bus.watch(Bucket::Beat).borrow().get(Beat::KEY).map(|entry| entry.value.clone());
        if let Some(beat) = beat {
            routes.beat(&beat).await;
        }
    }

    /// Says what of the routes of these models is on the disk.
    pub(super) async fn adopted(&self, routes: &Routes, models: impl Iterator<Item = (&Tenant, &Model)>) {
        match self {
            Self::Bus(local) => {
                let say = |(tenant, model)| local.adopted(routes, tenant, model);
                stream::iter(models).for_each_concurrent(WORDS_AT_ONCE, say).await;
            }
            Self::Control(control) => control.has_news(),
        }
    }

    /// Sends a sample.
    ///
    /// # Errors
    /// A sentence; the next sample carries what was in this one.
    pub(super) async fn send(&self, at: At, say: Say) -> Result<(), String> {
        match self {
            Self::Bus(local) => {
                let stamped = Stamped { service: "router", at, trace: &Trace::from_parent(None) };
                local.bus.publish(&stamped, &[say]).await.map_err(|error| error.to_string())
            }
            Self::Control(control) => control.send(say).await,
        }
    }

    /// Says that the router took its last request.
    pub(super) async fn leave(&self, now: At) {
        match self {
            Self::Control(control) => control.leave().await,
            Self::Bus(local) if local.bus.is_shared() => {
                if let Err(error) = local.roster.beat(&local.name, &local.heartbeat(now, true)).await {
                    tracing::warn!("could not say that {} has left: {error}", local.name);
                }
            }
            // A process that ends takes its bus with it.
            Self::Bus(_) => {}
        }
    }
}

impl Local {
    async fn adopted(&self, routes: &Routes, tenant: &Tenant, model: &Model) {
        let place = proto::subject::key(tenant, model);
        let word = || routes.word(tenant, model);
        if let Err(error) = self.roster.adopt(&self.name, &self.boot, (&place, word)).await {
            tracing::warn!("can't say on the bus at which generation {place} is: {error:#}");
        }
    }

    fn is_due(&self, routes: &Routes, route: &Route) -> bool {
        let place = proto::subject::key(&route.tenant, &route.model);
        let word = routes.word(&route.tenant, &route.model);
        word.is_some_and(|word| !self.roster.knows(&self.name, &self.boot, (&place, word)))
    }

    fn heartbeat(&self, beat_at: At, has_left: bool) -> Heartbeat {
        Heartbeat { boot: self.boot.clone(), home: self.home.clone(), beat_at, has_left }
    }
}
