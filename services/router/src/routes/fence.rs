//! The fences: which routes may be served after what is served now. Values in, an answer out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rollout::{Direction, Route};
use rollout::{Model, RolloutId, Tenant};

use super::Adoption;
use crate::saved::Kept;
use crate::table::Table;

/// Rollouts of one model that stay locked out. Generations alone refuse all older ones; the lock is for the latest.
const LOCKS_MAX: usize = 16;

/// The rollouts that never go forward again.
#[derive(Debug, Default)]
pub(super) struct Locks {
    locked: BTreeMap<Place, VecDeque<RolloutId>>,
    /// Models whose latest route was refused for a lock.
    refused: BTreeSet<Place>,
}

type Place = (Tenant, Model);

impl Locks {
    pub(super) fn of(saved: Vec<Kept>) -> Self {
        let locked = saved.into_iter().filter(|kept| !kept.locks.is_empty());
        let locked = locked.map(|kept| ((kept.tenant, kept.model), kept.locks.into())).collect();
        Self { locked, refused: BTreeSet::new() }
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &Place> {
        self.locked.keys()
    }

    pub(super) fn of_model(&self, tenant: &Tenant, model: &Model) -> Vec<RolloutId> {
        let locks = self.locked.get(&(tenant.clone(), model.clone()));
        locks.into_iter().flatten().cloned().collect()
    }

    pub(super) fn add(&mut self, tenant: &Tenant, model: &Model, rollout: &RolloutId) {
        let locks = self.locked.entry((tenant.clone(), model.clone())).or_default();
        if locks.contains(rollout) {
            return;
        }
        if locks.len() == LOCKS_MAX {
            locks.pop_front();
        }
        locks.push_back(rollout.clone());
    }

    pub(super) fn has(&self, tenant: &Tenant, model: &Model, rollout: &RolloutId) -> bool {
        self.locked.get(&(tenant.clone(), model.clone())).is_some_and(|locks| locks.contains(rollout))
    }

    /// The rollout of a route that would lead it forward again.
    fn forbid<'r>(&self, route: &'r Route) -> Option<&'r RolloutId> {
        let rollout = route.rollout_id.as_ref().filter(|_| route.direction == Direction::Forward)?;
        self.has(&route.tenant, &route.model, rollout).then_some(rollout)
    }

    /// Remembers that a route was refused for a lock, until another one is adopted: whoever waits for it has to hear that.
    pub(super) fn answered(&mut self, route: &Route, adoption: &Adoption) {
        let place = (route.tenant.clone(), route.model.clone());
        match adoption {
            Adoption::Refused(_) if self.forbid(route).is_some() => drop(self.refused.insert(place)),
            Adoption::Adopted => drop(self.refused.remove(&place)),
            _ => {}
        }
    }

    /// Whether the latest route of a model was refused for a lock.
    pub(super) fn has_refused(&self, tenant: &Tenant, model: &Model) -> bool {
        self.refused.contains(&(tenant.clone(), model.clone()))
    }
}

/// Whether a route may follow the one that its model has: by generation, and not forward after a retreat.
pub(super) fn pass(table: &Table, locks: &Locks, route: &Arc<Route>) -> Result<(), Adoption> {
    let refused = |why| Err(Adoption::Refused(why));
    if let Some(served) = table.of_model(&route.tenant, &route.model) {
        let current = served.route();
        if route.generation < current.generation {
            return Err(Adoption::Stale);
        }
        // That it was stopped may be added to what is served, and is never taken away.
        let as_stopped = Route { stopped: current.stopped, ..Route::clone(route) };
        if as_stopped == **current {
            return if route.stopped && !current.stopped { Ok(()) } else { Err(Adoption::Unchanged) };
        }
        if route.generation == current.generation {
            return refused(format!("generation {} is served with other content", route.generation));
        }
    }
    match locks.forbid(route) {
        Some(rollout) => refused(format!("rollout {rollout} was turned back, so it never goes forward again")),
        None => Ok(()),
    }
}

/// Whether the match of a route is free or its own.
pub(super) fn own_match(table: &Table, route: &Route) -> Result<(), Adoption> {
    let key = route.matches.key();
    match table.owner_of(&key).map(|owner| owner.route()) {
        Some(owner) if (&owner.tenant, &owner.model) != (&route.tenant, &route.model) => {
            Err(Adoption::Refused(format!("match: `{key}` belongs to {}/{}", owner.tenant, owner.model)))
        }
        _ => Ok(()),
    }
}
