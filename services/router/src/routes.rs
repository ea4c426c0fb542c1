//! Adopting routes: the fences that keep an older or forbidden split from being served.
//!
//! A route is taken only if its generation is higher than the served one; equal with equal content changes nothing. A forward
//! route of a rollout that was turned back or stopped is refused for good (RELIABILITY 3.4). What is confirmed is on disk: a
//! forward route is saved before it is served, a retreat is served before it is saved, since it can only reduce.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex as Short, MutexGuard, PoisonError, RwLock};

use chassis::failpoint;
use proto::serving::Held;
use rollout::{Direction, Model, Route, Tenant};
use tokio::sync::Mutex;

use crate::counts::{Counts, RouteMark, now_ms};
use crate::lease::Lease;
use crate::saved::{Disk, Expired, Saved};
use crate::served::Served;
use crate::table::Table;

mod fence;
mod hold;

use fence::Locks;

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
    /// Something is served that the disk does not have.
    is_unsaved: AtomicBool,
    lease: Lease,
    counts: Counts,
    disk: Arc<Disk>,
    own: SocketAddr,
}

impl Routes {
    /// Goes on with what was saved. `own` is our own listener, which is no upstream.
    pub(crate) fn load(saved: Saved, disk: Disk, counts: Counts, own: SocketAddr) -> Self {
        let Saved { saved_at_ms, routes, locks, expired, .. } = saved;
        let mut table = Table::default();
        for route in routes {
            let (tenant, model, generation) = (route.tenant.clone(), route.model.clone(), route.generation);
            let ended =
                |ended: &Expired| (&ended.tenant, &ended.model, ended.generation) == (&tenant, &model, generation);
            match Served::new(Arc::new(route), &counts, own) {
                Ok(served) if expired.iter().any(ended) => table.put(Arc::new(served.hold(Held::Expired))),
                Ok(served) => table.put(Arc::new(served)),
                Err(why) => {
                    tracing::warn!(%tenant, %model, generation, "left out the saved route of {tenant}/{model}: {why}");
                    continue;
                }
            }
            counts.mark(&tenant, &model, RouteMark { generation, confirmed_at_ms: saved_at_ms });
        }
        let lease = Lease::load(disk.read_beat(), saved_at_ms);
        let shared = Shared {
            table: RwLock::default(),
            locks: Short::new(Locks::of(locks)),
            writer: Mutex::default(),
            is_unsaved: AtomicBool::new(false),
            lease,
            counts,
            disk: Arc::new(disk),
            own,
        };
        let this = Self { shared: Arc::new(shared) };
        this.swap(table);
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

    /// Every served route, as it was adopted, in no order.
    #[must_use]
    pub fn served(&self) -> Vec<Arc<Route>> {
        self.table().iter().map(|served| Arc::clone(served.route())).collect()
    }

    /// What requests read at this moment.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.shared.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn swap(&self, next: Table) {
        let mut table = self.shared.table.write().unwrap_or_else(PoisonError::into_inner);
        *table = Arc::new(self.held_too(&table, next));
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn adopt_in_turn(&self, routes: Vec<Route>) -> Vec<Adoption> {
        let _one_at_a_time = self.shared.writer.lock().await;
        let before = self.table();
        let mut next = Table::clone(&before);
        // What may be served at once, because it only reduces.
        let mut reduced = None;
        let mut adoptions = Vec::with_capacity(routes.len());
        for route in routes {
            let route = Arc::new(route);
            let adoption = match self.check(&next, &route) {
                Ok(served) => {
                    let served = Arc::new(served);
                    if route.direction == Direction::Back || route.stopped {
                        let mut locks = self.locks();
                        route.rollout_id.iter().for_each(|rollout| locks.add(&route.tenant, &route.model, rollout));
                        reduced.get_or_insert_with(|| Table::clone(&before)).put(Arc::clone(&served));
                    }
                    next.put(served);
                    Adoption::Adopted
                }
                Err(adoption) => adoption,
            };
            adoptions.push((route, adoption));
        }
        if let Some(reduced) = reduced {
            self.swap(reduced);
        }
        self.confirm(next, adoptions).await
    }

    /// Saves `next`, then serves it; what could not be saved is not confirmed.
    async fn confirm(&self, next: Table, mut adoptions: Vec<(Arc<Route>, Adoption)>) -> Vec<Adoption> {
        if self.shared.is_unsaved.load(SeqCst) || adoptions.iter().any(|(_, adoption)| *adoption == Adoption::Adopted) {
            match self.save(&next).await {
                Ok(()) => self.swap(next),
                Err(why) => {
                    for (_, adoption) in &mut adoptions {
                        if matches!(adoption, Adoption::Adopted | Adoption::Unchanged) {
                            *adoption = Adoption::Refused(format!("the routes could not be saved: {why}"));
                        }
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

    async fn save(&self, table: &Table) -> Result<(), String> {
        let routes = table.iter().map(|served| Route::clone(served.route())).collect();
        let hangs_on_beats = table.iter().any(|served| served.route().lease_seconds.is_some());
        let beat = hangs_on_beats.then(|| self.shared.lease.saved());
        let saved = Saved::new(now_ms(), routes, self.locks().saved(), hold::expired(table));
        let disk = Arc::clone(&self.shared.disk);
        self.shared.is_unsaved.store(true, SeqCst);
        failpoint::reach("router_before_save").await.map_err(|error| error.to_string())?;
        let written = tokio::task::spawn_blocking(move || {
            beat.map_or(Ok(()), |beat| disk.write_beat(&beat))?;
            disk.write(&saved)
        })
        .await;
        written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        failpoint::reach("router_after_save").await.map_err(|error| error.to_string())?;
        self.shared.is_unsaved.store(false, SeqCst);
        Ok(())
    }
}
