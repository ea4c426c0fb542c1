//! The router: a sticky HTTP proxy in front of the versions of a model.
//!
//! It answers each request from one arm of the model's route, chosen by a hash of the session, and counts what came of it. All
//! but `service` knows no bus, no database and no policy: it hands routes to [`Routes::adopt`] and reads [`Counts::snapshot`].
//! With everything else dead it goes on with the routes of its disk.
//!
//! - `proxy`: the listener, connections, draining; `stall` ends connections whose client stopped reading.
//! - `forward`: one request from its head to the head of its answer; `headers`, `key`, `problem` are its parts.
//! - `named`, `trust`: requests that name their version themselves, and whose word counts.
//! - `upstream`: where an arm is and which addresses may be dialled; `upload` and `body`: the two bodies and their clocks;
//!   `tunnel`: what follows an upgrade.
//! - `table`, `served`: the compiled routes that requests read; `routes`: adoption, its fences, and what holds a candidate back;
//!   `lease`: when the control part was last heard; `saved`: the disk; `home`: whose disk it is.
//! - `counts`, `ticket`, `observe`, `metrics`: what is counted, by whom, and how it is shown.

mod body;
mod counts;
mod forward;
mod headers;
mod home;
mod key;
mod lease;
mod metrics;
mod named;
mod observe;
mod problem;
mod proxy;
mod routes;
mod saved;
mod served;
mod service;
mod stall;
mod table;
mod ticket;
mod trust;
mod tunnel;
mod upload;
mod upstream;

pub use counts::{ArmCount, Counts, Observed, Override, Role};
pub use named::Choices;
pub use proxy::{Config, Error, Limits, Proxy, Running};
pub use routes::{Adoption, Routes};
pub use served::Served;
pub use service::{Address, Alone, Following, join, run};
pub use table::Table;
pub use trust::TrustedPeers;
