//! The handle on the dials of a running simulator, shared by its HTTP side and by whoever started it.
//!
//! It also knows since when the model loads, because turning some dials makes it load again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dials::{Dials, Refusal};

/// Reads and turns the dials of one simulator while it runs. Clones share the same dials.
#[derive(Clone, Debug)]
pub struct Panel(Arc<Mutex<Setting>>);

/// Whether the simulated model can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is being loaded.
    Loading,
    /// Loading failed.
    Failed,
    /// It is loaded.
    Ready,
}

#[derive(Debug)]
struct Setting {
    dials: Dials,
    load_began: Instant,
}

impl Panel {
    pub(crate) fn new(dials: Dials) -> Self {
        Self(Arc::new(Mutex::new(Setting { dials, load_began: Instant::now() })))
    }

    /// The dials as they are now.
    #[must_use]
    pub fn read(&self) -> Dials {
        self.setting().dials.clone()
    }

    /// Turns dials in code: `panel.turn(|dials| dials.error_rate = 0.2)`. Gives the dials after the change.
    pub fn turn(&self, change: impl FnOnce(&mut Dials)) -> Result<Dials, Refusal> {
        self.change(|dials| {
            let mut changed = dials.clone();
            change(&mut changed);
            changed.check().map(|()| changed)
        })
    }

    /// Turns the dials named in a JSON object. Gives the dials after the change.
    pub fn patch(&self, patch: &Value) -> Result<Dials, Refusal> {
        self.change(|dials| dials.changed_by(patch))
    }

    /// Whether the model can answer now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let setting = self.setting();
        if setting.load_began.elapsed() < Duration::from_millis(setting.dials.slow_start_ms) {
            Readiness::Loading
        } else if setting.dials.load_failure {
            Readiness::Failed
        } else {
            Readiness::Ready
        }
    }

    fn change(&self, change: impl FnOnce(&Dials) -> Result<Dials, Refusal>) -> Result<Dials, Refusal> {
        let mut setting = self.setting();
        let changed = change(&setting.dials)?;
        let before = (setting.dials.slow_start_ms, setting.dials.load_failure);
        if before != (changed.slow_start_ms, changed.load_failure) {
            setting.load_began = Instant::now();
        }
        setting.dials = changed.clone();
        Ok(changed)
    }

    fn setting(&self) -> MutexGuard<'_, Setting> {
        // A panic in the closure of `turn` leaves the old dials in place, so the setting is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
