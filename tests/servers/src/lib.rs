//! The real servers that the tests and the benchmark run on: each with a folder and a port or socket of its own, set as an operator
//! sets it, and ended with its owner.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "without its servers nothing can be tested or measured"
)]

mod nats;
mod postgres;

use std::path::PathBuf;
use std::time::Duration;

pub use nats::Nats;
pub use postgres::Postgres;

/// A server answers within this, or never.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a build is.
fn target() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"))
}
