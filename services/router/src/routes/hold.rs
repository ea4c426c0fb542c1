//! Serving the stable arm alone, whatever the route says: after a stop, and when no beat came for as long as the lease. It only
//! takes traffic from candidates, so it is served before it is saved; it is said only when it is saved.

use std::sync::{Arc, PoisonError};

use proto::serving::{Held, Word};
use rollout::{Direction, Model, RolloutId, Route, Tenant};

use super::Routes;
use crate::served::Served;
use crate::table::Table;

impl Routes {
    /// Hears a beat, and keeps it on disk while some route hangs on it.
    pub async fn beat(&self, beat: &str) {
        let Some(saved) = self.shared.lease.hear(beat) else { return };
        if !self.table().iter().any(|served| served.route().lease_seconds.is_some()) {
            return;
        }
        let disk = Arc::clone(&self.shared.disk);
        let written = tokio::task::spawn_blocking(move || disk.write_beat(&saved)).await;
        if let Ok(Err(error)) = written {
            // After a restart the lease then counts from an older beat, and ends sooner.
            tracing::warn!("the last beat could not be saved: {error}");
        }
    }

    /// How long ago the last beat was heard.
    #[must_use]
    pub fn beat_age(&self) -> std::time::Duration {
        self.shared.lease.age()
    }

    /// Takes the candidates' traffic away where a lease is over, until a newer generation comes; gives the routes where it did.
    pub async fn end_leases(&self) -> Vec<Arc<Route>> {
        let is_over = |served: &&Arc<Served>| served.held().is_none() && self.shared.lease.is_over(served.route());
        // Requests need not wait for a look that finds nothing.
        if !self.table().iter().any(|served| is_over(&served)) {
            return Vec::new();
        }
        let ended = self.hold(Held::Expired, |table| table.iter().filter(is_over).cloned().collect());
        for route in &ended {
            tracing::error!(model = %route.model, generation = route.generation,
                "no beat for {} s: {} of {} serves alone until a newer route comes", route.lease_seconds.unwrap_or(0), route.stable, route.model);
        }
        if self.keep().await { ended } else { Vec::new() }
    }

    /// Takes the candidates' traffic of a rollout away and locks it out for good. Served at once; gives the routes once that is
    /// on disk.
    pub async fn stop(&self, tenant: &Tenant, model: &Model, rollout: &RolloutId) -> Vec<Arc<Route>> {
        {
            let mut locks = self.locks();
            locks.add(tenant, model, rollout);
            // Within the same moment: whoever sees the lock knows that it is not on the disk.
            self.shared.unsaved.add(tenant, model);
        }
        let is_its = |served: &&Arc<Served>| {
            let route = served.route();
            route.rollout_id.as_ref() == Some(rollout) && is_forward(route)
        };
        let of_rollout =
            |table: &Table| table.of_model(tenant, model).filter(is_its).cloned().into_iter().collect::<Vec<_>>();
        self.hold(Held::Stopped, of_rollout);
        if !self.keep().await {
            return Vec::new();
        }
        // One that was adopted meanwhile is held too.
        of_rollout(&self.table()).iter().map(|served| Arc::clone(served.route())).collect()
    }

    /// Saves what an earlier save left over; gives the routes of it that are held, once they are on disk.
    pub async fn save_again(&self) -> Vec<Arc<Route>> {
        let (then, table) = (self.shared.unsaved.now(), self.table());
        if then.is_empty() || !self.keep().await {
            return Vec::new();
        }
        let left_over = then.models().filter_map(|(tenant, model)| table.of_model(tenant, model));
        left_over.filter(|served| served.held().is_some()).map(|served| Arc::clone(served.route())).collect()
    }

    /// What may be said of a model's route: what is served of it and is on the disk.
    #[must_use]
    pub fn word(&self, tenant: &Tenant, model: &Model) -> Option<Word> {
        let generation = self.confirmed(tenant, model)?;
        let served = Arc::clone(self.table().of_model(tenant, model)?);
        // A retreat is served before it is on the disk: until then its predecessor is what can be said.
        let held = served.held().filter(|_| served.route().generation == generation);
        // Of a stop that was heard before the first route of its rollout, this is all that whoever waits for that route can see.
        let held = held.or_else(|| self.locks().has_refused(tenant, model).then_some(Held::Stopped));
        let is_on_disk = held.is_none() || !self.shared.unsaved.has(tenant, model);
        is_on_disk.then_some(Word { generation, held })
    }

    /// What may be said of all models.
    #[must_use]
    pub fn words(&self) -> Vec<(Tenant, Model, Word)> {
        let word = |route: Arc<Route>| {
            let word = self.word(&route.tenant, &route.model)?;
            Some((route.tenant.clone(), route.model.clone(), word))
        };
        self.served().into_iter().filter_map(word).collect()
    }

    /// Holds some of what is served, at once; gives their routes.
    fn hold(&self, reason: Held, which: impl Fn(&Table) -> Vec<Arc<Served>>) -> Vec<Arc<Route>> {
        let mut table = self.shared.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Table::clone(&table);
        let held = which(&table);
        for served in held.iter().filter(|served| served.held() != Some(reason)) {
            // Before it is served so, since whoever saves asks first what is unsaved.
            self.shared.unsaved.add(&served.route().tenant, &served.route().model);
            next.put(Arc::new(served.hold(reason)));
        }
        // Also where nothing is held: a table that is being made beside this one is then made anew, with the lock of a stop.
        *table = Arc::new(next);
        held.iter().map(|served| Arc::clone(served.route())).collect()
    }

    /// Saves what is held; says whether that is on the disk. If not, the next save takes it along.
    async fn keep(&self) -> bool {
        let _one_at_a_time = self.shared.writer.lock().await;
        let saved = self.save(&[]).await;
        if let Err(why) = &saved {
            tracing::error!("what is held back could not be saved: {why}");
        }
        saved.is_ok()
    }

    /// What is adopted, held as what is served now of the same generation: a stop must not be lost to a save that took long.
    pub(super) fn held_too(&self, now: &Table, adopted: &Arc<Served>) -> Arc<Served> {
        let route = adopted.route();
        let there = now.of_model(&route.tenant, &route.model);
        let still = there.filter(|there| there.route().generation == route.generation).and_then(|there| there.held());
        let is_locked = || {
            let locks = self.locks();
            route.rollout_id.as_ref().is_some_and(|rollout| locks.has(&route.tenant, &route.model, rollout))
        };
        let is_stopped = route.stopped || is_forward(route) && is_locked();
        match if is_stopped { Some(Held::Stopped) } else { still } {
            Some(reason) if adopted.held() != Some(Held::Stopped) => Arc::new(adopted.hold(reason)),
            _ => Arc::clone(adopted),
        }
    }
}

/// A route that raises candidates, or might.
fn is_forward(route: &Route) -> bool {
    route.direction == Direction::Forward && route.arms.len() > 1
}
