//! What tidegate does with a real nats-server: meeting one, and setting one up.

pub(crate) use servers::Nats;

mod connecting;
mod permitted;
pub(crate) mod setting_up;
