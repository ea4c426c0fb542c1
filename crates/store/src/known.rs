//! What a transaction has read of rollouts, and has not changed since: it need not read it again.

use std::collections::BTreeMap;

use rollout::{Model, RolloutId, Tenant};

use crate::change::Change;
use crate::rows::Scene;

/// Read inside one transaction, and true until it writes.
#[derive(Debug, Default)]
pub struct Known {
    scenes: BTreeMap<RolloutId, Scene>,
    of_model: BTreeMap<(Tenant, Model), Vec<RolloutId>>,
    /// Version and hash of the log's last entry.
    log_ends: BTreeMap<RolloutId, (i64, Vec<u8>)>,
}

impl Known {
    /// Keeps what was read before anybody asked for it.
    pub(crate) fn foreseen(&mut self, scene: Scene, log_end: Option<Vec<u8>>) {
        let rollout = &scene.rollout;
        if let Some(log_end) = log_end {
            self.log_ends_with(&rollout.id, rollout.version, log_end);
        }
        self.of_model.entry((rollout.tenant.clone(), rollout.model.clone())).or_default().push(rollout.id.clone());
        self.scenes.insert(rollout.id.clone(), scene);
    }

    pub(crate) fn log_ends_with(&mut self, id: &RolloutId, version: i64, hash: Vec<u8>) {
        self.log_ends.insert(id.clone(), (version, hash));
    }

    /// A scene that was foreseen, once: whoever took it is about to change it.
    pub(crate) fn scene(&mut self, id: &RolloutId) -> Option<Scene> {
        self.scenes.remove(id)
    }

    /// The hash of the log's last entry, if that is `version`.
    pub(crate) fn log_end(&self, id: &RolloutId, version: i64) -> Option<Vec<u8>> {
        self.log_ends.get(id).filter(|(last, _)| *last == version).map(|(_, hash)| hash.clone())
    }

    /// A write of a rollout or a route changes what every rollout of the model sees.
    pub(crate) fn forget(&mut self, change: &Change) {
        let (tenant, model) = match change {
            Change::Open { row, .. } | Change::Move { row, .. } => (&row.tenant, &row.model),
            Change::Wish { route, .. } => (&route.tenant, &route.model),
            Change::WakeQueued { tenant, model, .. } => (tenant, model),
            _ => return,
        };
        for id in self.of_model.remove(&(tenant.clone(), model.clone())).unwrap_or_default() {
            self.scenes.remove(&id);
        }
    }
}
