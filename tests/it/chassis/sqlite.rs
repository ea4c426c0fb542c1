//! Deadlines that SQLite keeps.

use store::Store;

#[path = "deadlines.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine runs the same tests")]
mod deadlines;

/// Where the rows are, as long as it is held.
type Home = tempfile::TempDir;

async fn home() -> (Store, Home) {
    let folder = tempfile::tempdir().unwrap();
    (Store::open(folder.path()).await.unwrap(), folder)
}
