//! Deadlines that PostgreSQL keeps.

use store::Store;

use servers::Postgres;

#[path = "deadlines.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine runs the same tests")]
mod deadlines;

/// Where the rows are, as long as it is held.
type Home = Postgres;

async fn home() -> (Store, Home) {
    let server = Postgres::start();
    (server.store().await, server)
}
