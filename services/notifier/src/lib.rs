//! notifier tells people and other systems what became of a rollout: Slack, PagerDuty, and any HTTP receiver.
//!
//! News become `delivery` rows in the commit that settles them. A task for each channel sends what is due, one delivery at a
//! time and each within 10 s, so that a receiver which hangs delays nobody but itself. A delivery is committed as being sent
//! before it is; after a death it is sent again, marked as a repeat, under the same key of deduplication. Without a receiver
//! nothing runs and nothing is written.

mod config;
mod handler;
mod outbound;
mod pagerduty;
mod sender;
mod slack;
mod told;
mod webhook;

use chassis::{Core, Environment};

pub use config::Receivers;

/// Runs the service with the receivers that the environment names; a mistake there stops the process.
pub fn serve_from_environment(core: &Core) {
    let mut environment = Environment::of_process();
    let receivers = Receivers::read(&mut environment);
    match environment.finish() {
        Ok(()) => serve(core, receivers),
        Err(mistakes) => {
            tracing::error!("{mistakes}");
            core.stop.cancel();
        }
    }
}

/// Runs the service.
pub fn serve(core: &Core, receivers: Receivers) {
    core.tasks.spawn(sender::park_what_nobody_takes(core.clone(), receivers.channels()));
    let listeners = receivers.listeners();
    let receivers = receivers.into_receivers();
    if receivers.is_empty() {
        return;
    }
    let counted = sender::Counted::register(&core.metrics);
    for (channel, receiver) in receivers {
        core.tasks.spawn(sender::send(core.clone(), channel, receiver, counted.clone()));
    }
    chassis::serve(core, handler::Notifier::new(listeners));
}
