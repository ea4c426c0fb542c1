//! A model server with dials: it behaves like a small sentiment model over HTTP, and how well it behaves
//! (latency, errors, hallucinations, cost, quality, readiness) can be set before it starts and turned while it runs.
//!
//! The demo and the tests start many of them in one process with [`Simulator::start`]; the binary starts one.
//! It knows nothing of rollouts, the router or the bus: it is the outside world.

mod asked;
mod chance;
pub mod command;
mod connection;
mod dials;
mod draw;
mod handler;
mod metrics;
mod panel;
mod prediction;
mod reply;
mod route;
mod simulator;
mod stream;

pub use dials::{Dials, Reach, Refusal};
pub use panel::{Panel, Readiness};
pub use simulator::{Config, Error, Running, Simulator};
