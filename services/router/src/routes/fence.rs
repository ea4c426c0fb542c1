//! The fences: which routes may be served after what is served now. Values in, an answer out.

use std::collections::{BTreeMap, VecDeque};
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
pub(super) struct Locks(BTreeMap<(Tenant, Model), VecDeque<RolloutId>>);

impl Locks {
    pub(super) fn of(saved: Vec<Kept>) -> Self {
        let locked = saved.into_iter().filter(|kept| !kept.locks.is_empty());
        Self(locked.map(|kept| ((kept.tenant, kept.model), kept.locks.into())).collect())
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &(Tenant, Model)> {
        self.0.keys()
    }

    pub(super) fn of_model(&self, tenant: &Tenant, model: &Model) -> Vec<RolloutId> {
        let locks = self.0.get(&(tenant.clone(), model.clone()));
        locks.into_iter().flatten().cloned().collect()
    }

    pub(super) fn add(&mut self, tenant: &Tenant, model: &Model, rollout: &RolloutId) {
        let locks = self.0.entry((tenant.clone(), model.clone())).or_default();
        if locks.contains(rollout) {
            return;
        }
        if locks.len() == LOCKS_MAX {
            locks.pop_front();
        }
        locks.push_back(rollout.clone());
    }

    pub(super) fn has(&self, tenant: &Tenant, model: &Model, rollout: &RolloutId) -> bool {
        self.0.get(&(tenant.clone(), model.clone())).is_some_and(|locks| locks.contains(rollout))
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
    match &route.rollout_id {
        Some(rollout) if route.direction == Direction::Forward && locks.has(&route.tenant, &route.model, rollout) => {
            refused(format!("rollout {rollout} was turned back, so it never goes forward again"))
        }
        _ => Ok(()),
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
