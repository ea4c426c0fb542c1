//! registry-writer owns models, versions, their status and share, and named policies. It turns a promote message into a
//! request for a rollout, with everything resolved, and follows rollouts by their news; it decides nothing about them.

mod follow;
mod handler;
mod register;

use chassis::{Core, Handler, Prometheus};

/// Runs the service.
pub fn serve(core: &Core) {
    chassis::serve(core, handler(core.prometheus.clone()));
}

/// What it does with one message.
#[must_use]
pub fn handler(prometheus: Option<Prometheus>) -> impl Handler {
    handler::RegistryWriter { prometheus }
}
