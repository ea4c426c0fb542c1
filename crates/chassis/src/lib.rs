//! What every service stands on: configuration, telemetry, bus, consume, step, relay, deadlines, admin, shutdown.
//!
//! A service is one fact or request in, one [`Commit`] out, plus at most one client for the outside world: it implements
//! [`Handler`], and everything else is here, once. The step, the consumer, the wheel and the sweep take store, bus and clock
//! as arguments, so that the same code can run under a scheduler that is not tokio's.

pub mod admin;
mod back_off;
mod bus;
pub mod by_hand;
mod clock;
mod commit;
mod config;
mod consume;
pub mod consumers;
mod core;
pub mod doctor;
pub mod failpoint;
mod fence;
mod handler;
mod health;
mod metrics;
mod outage;
pub mod outbound;
mod park;
mod prometheus;
mod promotion;
mod replay;
mod roster;
mod run;
mod say;
mod secret;
pub mod services;
mod step;
mod sweep;
mod telemetry;
pub mod variables;
mod wheel;

pub use bus::jet_stream::{
    ADMIN, Connection, Done, JetStream, Messages, NatsUrl, NoNatsUrl, NoSeed, Remembered, SaidThere, Size, User,
    Wanted, configuration, examine_bus, init, new_seed, public_key, remembered, users,
};
pub use bus::{Bucket, Bus, Entry, Error, Heard, Stops, Values, changes};
pub use clock::{Clock, Compared, Told, compare};
pub use commit::{Commit, Say};
pub use config::{Environment, Mistakes};
pub use consumers::Consumer;
pub use core::{Core, serve, serve_handler};
pub use fence::{MOVED_SINCE, still_there};
pub use handler::{Cause, Failure, Handler, Incoming};
pub use metrics::Metrics;
pub use prometheus::{LabelName, Prometheus, PrometheusUrl};
pub use promotion::{Chosen, Promotable, Refused, promotable};
pub use roster::{ALIVE, Heartbeat, Roster};
pub use run::{block_on, run, run_until, until_signal};
pub use say::{Outside, Stamped, pass_on, say_now};
pub use secret::Secret;
pub use services::Service;
pub use telemetry::{Trace, start_logging};
pub use wheel::Pulse;
