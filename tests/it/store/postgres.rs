//! The contract on PostgreSQL, and what only a server with several writers can show.

use super::*;
use servers::Postgres;

mod chain;
#[path = "contract/all.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine runs the same tests")]
mod contract;
mod explaining;
mod losing;
mod racing;
mod replicas;
mod rights;
mod schema;

async fn with_store(test: impl AsyncFn(Store)) {
    let server = Postgres::start();
    let store = server.store().await;
    test(store.clone()).await;
    store.close().await;
}
