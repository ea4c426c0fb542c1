//! Which models are served otherwise than the disk has them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rollout::{Model, Tenant};

type Place = (Tenant, Model);

/// Models by the number of their last change.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<Changes>);

#[derive(Debug, Default)]
struct Changes {
    last: u64,
    models: BTreeMap<Place, u64>,
}

/// What was unsaved at one moment.
#[derive(Debug)]
pub(super) struct Then(BTreeMap<Place, u64>);

impl Unsaved {
    /// A model has changed, before or while it is so served.
    pub(super) fn add(&self, tenant: &Tenant, model: &Model) {
        let mut changes = self.changes();
        changes.last += 1;
        let last = changes.last;
        changes.models.insert((tenant.clone(), model.clone()), last);
    }

    pub(super) fn has(&self, tenant: &Tenant, model: &Model) -> bool {
        self.changes().models.contains_key(&(tenant.clone(), model.clone()))
    }

    /// To be asked before the table that is saved is read: what changes after that is saved again.
    pub(super) fn now(&self) -> Then {
        Then(self.changes().models.clone())
    }

    /// What was unsaved then is on the disk now, unless it has changed since.
    pub(super) fn saved(&self, then: &Then) {
        self.changes().models.retain(|place, change| then.0.get(place) != Some(change));
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Then {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &Place> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_saved_stays_unsaved() {
        let (tenant, a, b) = (Tenant::default_tenant(), Model::new("a").unwrap(), Model::new("b").unwrap());
        let unsaved = Unsaved::default();
        unsaved.add(&tenant, &a);
        unsaved.add(&tenant, &b);
        let then = unsaved.now();
        unsaved.add(&tenant, &b);
        unsaved.saved(&then);
        assert!(!unsaved.has(&tenant, &a));
        assert!(unsaved.has(&tenant, &b));
        unsaved.saved(&unsaved.now());
        assert!(unsaved.now().is_empty());
    }
}
