//! What is done to containers, and how it is ended.

use receiversim::{Mood, Place, Receivers};

use crate::stack::containers::{docker, of_stack};
use crate::stack::life::Stack;

/// Which happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Deed {
    /// It is killed, and Docker starts it again.
    Killed(&'static str),
    /// It stands still.
    Paused(&'static str),
    /// It is without the network of the services; it has another address afterwards.
    Cut(&'static str),
    /// It is stopped, and started at the end.
    Gone(&'static str),
    /// The nats-server loses its volume; somebody starts the stack as it was started.
    Emptied,
    /// Slack and PagerDuty do so.
    Receivers(Mood),
    /// There are three of it, then one again.
    Scaled(&'static str),
    /// Everything is stopped and removed but for the volumes, and started again.
    DownAndUp,
}

impl Deed {
    pub(super) fn begin(self, stack: &Stack, receivers: &Receivers) {
        let form = &stack.form;
        match self {
            Self::Killed(service) => form.kill(service),
            Self::Paused(service) => drop(form.said(&["pause", service])),
            Self::Cut(service) => {
                docker(&["network", "disconnect", &of_stack("control"), &form.container(service)]);
            }
            Self::Gone(service) => drop(form.said(&["stop", service])),
            Self::Emptied => {
                form.said(&["rm", "--force", "--stop", "nats"]);
                docker(&["volume", "rm", &of_stack("nats")]);
            }
            Self::Receivers(mood) => turn(receivers, mood),
            Self::Scaled(service) => scale(stack, service, 3),
            Self::DownAndUp => drop(form.said(&["down"])),
        }
    }

    pub(super) fn end(self, stack: &Stack, receivers: &Receivers) {
        let form = &stack.form;
        match self {
            Self::Killed(_) => {}
            Self::Paused(service) => drop(form.said(&["unpause", service])),
            Self::Cut(service) => {
                let id = form.container(service);
                docker(&["network", "connect", "--alias", service, &of_stack("control"), &id]);
            }
            Self::Gone(service) => drop(form.said(&["start", service])),
            Self::Emptied | Self::DownAndUp => drop(form.said(&["up", "-d"])),
            Self::Receivers(_) => turn(receivers, Mood::Well),
            Self::Scaled(service) => scale(stack, service, 1),
        }
    }

    /// A router takes with it what it has in hand: what a model may have begun is not asked twice.
    pub(super) fn users_may_lose(self) -> u64 {
        match self {
            Self::Killed("router-a") | Self::Cut("router-a") | Self::Paused("router-a") => 5,
            _ => 0,
        }
    }

    /// Whether nobody can be asked meanwhile, because HAProxy is gone too.
    pub(super) fn shuts(self) -> bool {
        self == Self::DownAndUp
    }
}

fn turn(receivers: &Receivers, mood: Mood) {
    receivers.turn(Place::Slack, mood);
    receivers.turn(Place::PagerDuty, mood);
}

fn scale(stack: &Stack, service: &str, to: u8) {
    stack.form.said(&["up", "-d", "--no-deps", "--no-recreate", "--scale", &format!("{service}={to}"), service]);
}
