//! Adopting routes: the fences that keep an older or forbidden split from being served.
//!
//! A route is taken only if its generation is higher than the served one; equal with equal content changes nothing. A forward
//! route of a rollout that was turned back or stopped is refused for good (RELIABILITY 3.4). What is confirmed is on disk: a
//! forward route is saved before it is served, a retreat is served before it is saved, since it can only reduce.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex as Short, MutexGuard, PoisonError, RwLock};

use chassis::failpoint;
use proto::serving::Held;
use rollout::{Direction, Model, Route, Tenant};
use tokio::sync::Mutex;

use crate::counts::{Counts, RouteMark, now_ms};
use crate::lease::Lease;
use crate::saved::{Disk, Kept, Saved};
use crate::served::Served;
use crate::table::Table;

mod fence;
mod hold;
mod unsaved;

use fence::Locks;
use unsaved::Unsaved;

/// What became of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// It is served, and on disk.
    Adopted,
    /// It was served already.
    Unchanged,
    /// A higher generation is served.
    Stale,
    /// It may not be served; the sentence says why.
    Refused(String),
}

/// The routes of a router; clones share them.
#[derive(Debug, Clone)]
pub struct Routes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: RwLock<Arc<Table>>,
    /// Held only for moments, and never over a write to the disk: a stop must not wait for one.
    locks: Short<Locks>,
    /// Held by whoever adopts and saves: one at a time.
    writer: Mutex<()>,
    unsaved: Unsaved,
    lease: Lease,
    counts: Counts,
    disk: Arc<Disk>,
    own: SocketAddr,
}

impl Routes {
    /// Goes on with what was saved. `own` is our own listener, which is no upstream.
    pub(crate) fn load(saved: Saved, disk: Disk, counts: Counts, own: SocketAddr) -> Self {
        let Saved { saved_at_ms, mut models, .. } = saved;
        let routes: Vec<_> =
            models.iter_mut().filter_map(|kept| Some((Arc::new(kept.route.take()?), kept.is_expired))).collect();
        let shared = Shared {
            table: RwLock::default(),
            locks: Short::new(Locks::of(models)),
            writer: Mutex::default(),
            unsaved: Unsaved::default(),
            lease: Lease::load(disk.read_beat(), saved_at_ms),
            counts,
            disk: Arc::new(disk),
            own,
        };
        let this = Self { shared: Arc::new(shared) };
        let mut served = Vec::new();
        for (route, is_expired) in routes {
            let Route { tenant, model, generation, .. } = &*route;
            match Served::new(Arc::clone(&route), &this.shared.counts, own) {
                Ok(loaded) => {
                    served.push(Arc::new(if is_expired { loaded.hold(Held::Expired) } else { loaded }));
                    let mark = RouteMark { generation: *generation, confirmed_at_ms: saved_at_ms };
                    this.shared.counts.mark(tenant, model, mark);
                }
                Err(why) => {
                    tracing::warn!(%tenant, %model, generation, "left out the saved route of {tenant}/{model}: {why}");
                }
            }
        }
        this.put(&served);
        this
    }

    /// Serves a route, if the fences let it through. Returns when it is on disk.
    pub async fn adopt(&self, route: Route) -> Adoption {
        self.adopt_all(vec![route]).await.pop().unwrap_or(Adoption::Stale)
    }

    /// Serves several routes with one write to the disk; answers in their order.
    pub async fn adopt_all(&self, routes: Vec<Route>) -> Vec<Adoption> {
        let (this, count) = (self.clone(), routes.len());
        // In a task of its own: a caller that gives up must not leave a table that is half adopted.
        let adopted = tokio::spawn(async move { this.adopt_in_turn(routes).await }).await;
        adopted.unwrap_or_else(|_| vec![Adoption::Refused("the router is ending".to_owned()); count])
    }

    /// The served generation of a model.
    #[must_use]
    pub fn generation(&self, tenant: &Tenant, model: &Model) -> Option<i64> {
        self.table().of_model(tenant, model).map(|served| served.route().generation)
    }

    /// The generation of a model that is on the disk: a retreat is served before it is.
    #[must_use]
    pub fn confirmed(&self, tenant: &Tenant, model: &Model) -> Option<i64> {
        self.shared.counts.marked(tenant, model)
    }

    /// Every served route, as it was adopted, by tenant and model.
    #[must_use]
    pub fn served(&self) -> Vec<Arc<Route>> {
        self.table().iter().map(|served| Arc::clone(served.route())).collect()
    }

    /// What requests read at this moment.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.shared.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves what is adopted. Requests do not wait while the next table is made; what is held meanwhile makes it anew.
    fn put(&self, adopted: &[Arc<Served>]) {
        loop {
            let before = self.table();
            let next = Arc::new(self.with(&before, adopted));
            let mut table = self.shared.table.write().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&table, &before) {
                *table = next;
                return;
            }
        }
    }

    /// `table` with what is adopted, held back where it must be.
    fn with(&self, table: &Table, adopted: &[Arc<Served>]) -> Table {
        let mut next = Table::clone(table);
        adopted.iter().for_each(|served| next.put(self.held_too(table, served)));
        next
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn adopt_in_turn(&self, routes: Vec<Route>) -> Vec<Adoption> {
        let _one_at_a_time = self.shared.writer.lock().await;
        let mut next = Table::clone(&self.table());
        // What may be served at once, because it only reduces.
        let mut reduced = Vec::new();
        let mut adopted = Vec::new();
        let mut adoptions = Vec::with_capacity(routes.len());
        for route in routes {
            let route = Arc::new(route);
            let adoption = match self.check(&next, &route) {
                Ok(served) => {
                    let served = Arc::new(served);
                    if route.direction == Direction::Back || route.stopped {
                        let mut locks = self.locks();
                        route.rollout_id.iter().for_each(|rollout| locks.add(&route.tenant, &route.model, rollout));
                        reduced.push(Arc::clone(&served));
                    }
                    self.shared.unsaved.add(&route.tenant, &route.model);
                    next.put(Arc::clone(&served));
                    adopted.push(served);
                    Adoption::Adopted
                }
                Err(adoption) => adoption,
            };
            self.locks().answered(&route, &adoption);
            adoptions.push((route, adoption));
        }
        self.put(&reduced);
        self.confirm(&adopted, adoptions).await
    }

    /// Saves what is adopted, then serves it; what could not be saved is not confirmed.
    async fn confirm(&self, adopted: &[Arc<Served>], mut adoptions: Vec<(Arc<Route>, Adoption)>) -> Vec<Adoption> {
        match self.save(adopted).await {
            Ok(()) => self.put(adopted),
            Err(why) => {
                for (_, adoption) in &mut adoptions {
                    if matches!(adoption, Adoption::Adopted | Adoption::Unchanged) {
                        *adoption = Adoption::Refused(format!("the routes could not be saved: {why}"));
                    }
                }
            }
        }
        for (route, adoption) in &adoptions {
            self.count(route, adoption);
        }
        adoptions.into_iter().map(|(_, adoption)| adoption).collect()
    }

    fn check(&self, table: &Table, route: &Arc<Route>) -> Result<Served, Adoption> {
        fence::pass(table, &self.locks(), route)?;
        let served = Served::new(Arc::clone(route), &self.shared.counts, self.shared.own).map_err(Adoption::Refused)?;
        fence::own_match(table, route)?;
        let served = served.after(table.of_model(&route.tenant, &route.model));
        Ok(if self.shared.lease.is_over(route) { served.hold(Held::Expired) } else { served })
    }

    /// The caller gets the refusal, and logs it.
    fn count(&self, route: &Route, adoption: &Adoption) {
        let Route { tenant, model, generation, .. } = route;
        match adoption {
            Adoption::Adopted | Adoption::Unchanged => {
                let mark = RouteMark { generation: *generation, confirmed_at_ms: now_ms() };
                self.shared.counts.mark(tenant, model, mark);
            }
            Adoption::Stale | Adoption::Refused(_) => {
                self.shared.counts.shared.routes_refused.fetch_add(1, Relaxed);
            }
        }
    }

    /// Saves what is adopted and what else is served otherwise than the disk has it. Whoever saves holds the writer's lock.
    async fn save(&self, adopted: &[Arc<Served>]) -> Result<(), String> {
        let then = self.shared.unsaved.now();
        if then.is_empty() {
            return Ok(());
        }
        let table = self.with(&self.table(), adopted);
        let hangs_on_beats = table.iter().any(|served| served.route().lease_seconds.is_some());
        let beat = hangs_on_beats.then(|| self.shared.lease.saved());
        let is_all = self.shared.disk.wants_all();
        let models = if is_all { self.all(&table) } else { self.kept(&table, then.models()) };
        let disk = Arc::clone(&self.shared.disk);
        failpoint::reach("router_before_save").await.map_err(|error| error.to_string())?;
        let written = tokio::task::spawn_blocking(move || {
            beat.map_or(Ok(()), |beat| disk.write_beat(&beat))?;
            if is_all { disk.replace_all(now_ms(), models) } else { disk.add(now_ms(), models) }
        })
        .await;
        written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        failpoint::reach("router_after_save").await.map_err(|error| error.to_string())?;
        self.shared.unsaved.saved(&then);
        Ok(())
    }

    fn all(&self, table: &Table) -> Vec<Kept> {
        let served = table.iter().map(|served| (served.route().tenant.clone(), served.route().model.clone()));
        let places: BTreeSet<_> = served.chain(self.locks().models().cloned()).collect();
        self.kept(table, places.iter())
    }

    fn kept<'a>(&self, table: &Table, places: impl Iterator<Item = &'a (Tenant, Model)>) -> Vec<Kept> {
        let locks = self.locks();
        let kept = |(tenant, model): &(Tenant, Model)| {
            let served = table.of_model(tenant, model);
            Kept {
                tenant: tenant.clone(),
                model: model.clone(),
                route: served.map(|served| Route::clone(served.route())),
                locks: locks.of_model(tenant, model),
                is_expired: served.is_some_and(|served| served.held() == Some(Held::Expired)),
            }
        };
        places.map(kept).collect()
    }
}
