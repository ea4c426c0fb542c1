//! stage-scheduler owns rollouts: it is the only writer of their rows, their log and the wished routes, and keeps their
//! deadlines. All it knows about rollouts is `rollout::decide`; here a fact is read from a message and a decision becomes a
//! commit.

mod beat;
mod decided;
mod handler;
mod heard;
mod queue;

use chassis::{Core, Handler};

/// Runs the service.
pub fn serve(core: &Core) {
    let pulse = chassis::serve(core, handler());
    core.tasks.spawn(beat::beat(core.clone(), pulse));
}

/// What it does with one message or one deadline.
#[must_use]
pub fn handler() -> impl Handler {
    handler::StageScheduler
}
