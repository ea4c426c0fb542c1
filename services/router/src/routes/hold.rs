//! Serving the stable arm alone, whatever the route says: after a stop, and when no beat came for as long as the lease. It only
//! takes traffic from candidates, so it is served before it is saved; it is said only when it is saved.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};

use proto::serving::{Held, Word};
use rollout::{Direction, Model, RolloutId, Route, Tenant};

use super::Routes;
use crate::saved::Expired;
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
        let is_over = |served: &Served| served.held().is_none() && self.shared.lease.is_over(served.route());
        let ended = self.hold(|served| is_over(served).then_some(Held::Expired));
        for route in &ended {
            tracing::error!(model = %route.model, generation = route.generation,
                "no beat for {} s: {} of {} serves alone until a newer route comes", route.lease_seconds.unwrap_or(0), route.stable, route.model);
        }
        self.keep(ended).await
    }

    /// Takes the candidates' traffic of a rollout away and locks it out for good. Served at once; gives the routes once that is
    /// on disk.
    pub async fn stop(&self, tenant: &Tenant, model: &Model, rollout: &RolloutId) -> Vec<Arc<Route>> {
        self.locks().add(tenant, model, rollout);
        let stopped = self.hold(|served| {
            let route = served.route();
            (route.rollout_id.as_ref() == Some(rollout) && is_forward(route)).then_some(Held::Stopped)
        });
        self.keep(stopped).await
    }

    /// Saves what an earlier save left over; gives the routes that are held, once they are on disk.
    pub async fn save_again(&self) -> Vec<Arc<Route>> {
        if !self.shared.is_unsaved.load(SeqCst) {
            return Vec::new();
        }
        let table = self.table();
        let held = table.iter().filter(|served| served.held().is_some()).map(|served| Arc::clone(served.route()));
        self.keep(held.collect()).await
    }

    /// What may be said of a model's route: what is served of it and is on the disk.
    #[must_use]
    pub fn word(&self, tenant: &Tenant, model: &Model) -> Option<Word> {
        let generation = self.confirmed(tenant, model)?;
        let served = Arc::clone(self.table().of_model(tenant, model)?);
        // A retreat is served before it is on the disk: until then its predecessor is what can be said.
        let held = served.held().filter(|_| served.route().generation == generation);
        let is_on_disk = held.is_none() || !self.shared.is_unsaved.load(SeqCst);
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

    /// Holds what `why` gives a reason for, at once; gives the routes that are held now.
    fn hold(&self, why: impl Fn(&Served) -> Option<Held>) -> Vec<Arc<Route>> {
        let mut table = self.shared.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = None;
        let mut held = Vec::new();
        for served in table.iter() {
            let Some(reason) = why(served) else { continue };
            held.push(Arc::clone(served.route()));
            if served.held() != Some(reason) {
                next.get_or_insert_with(|| Table::clone(&table)).put(Arc::new(served.hold(reason)));
            }
        }
        if let Some(next) = next {
            *table = Arc::new(next);
        }
        held
    }

    /// Gives what is held once it is on disk; nothing while it is not. The next save takes it along.
    async fn keep(&self, held: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
        if held.is_empty() {
            return held;
        }
        let _one_at_a_time = self.shared.writer.lock().await;
        let table = self.table();
        match self.save(&table).await {
            Ok(()) => held,
            Err(why) => {
                tracing::error!("what is held back could not be saved: {why}");
                Vec::new()
            }
        }
    }

    /// Carries over what is held now into a table that was begun before: a stop must not be lost to a save that took long.
    pub(super) fn held_too(&self, now: &Table, mut next: Table) -> Table {
        let locks = self.locks();
        let mut held = Vec::new();
        for served in next.iter() {
            let route = served.route();
            let there = now.of_model(&route.tenant, &route.model);
            let still =
                there.filter(|there| there.route().generation == route.generation).and_then(|there| there.held());
            let locked =
                route.rollout_id.as_ref().is_some_and(|rollout| locks.has(&route.tenant, &route.model, rollout));
            let reason = if route.stopped || locked && is_forward(route) { Some(Held::Stopped) } else { still };
            if let Some(reason) = reason.filter(|_| served.held() != Some(Held::Stopped)) {
                held.push(Arc::new(served.hold(reason)));
            }
        }
        held.into_iter().for_each(|served| next.put(served));
        next
    }
}

/// A route that raises candidates, or might.
fn is_forward(route: &Route) -> bool {
    route.direction == Direction::Forward && route.arms.len() > 1
}

/// The leases of a table that ended.
pub(super) fn expired(table: &Table) -> Vec<Expired> {
    let ended = table.iter().filter(|served| served.held() == Some(Held::Expired)).map(|served| served.route());
    ended
        .map(|route| Expired { tenant: route.tenant.clone(), model: route.model.clone(), generation: route.generation })
        .collect()
}
