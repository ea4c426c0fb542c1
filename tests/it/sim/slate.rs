//! One database for all the seeds of a test: to open one takes longer than a seed should.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use store::Store;
use tempfile::TempDir;

/// The tables that a seed fills, and SQLite's own counters.
const TABLES: &str = "select name from sqlite_master where type = 'table' and name not like '\\_sqlx%' escape '\\'";

/// A database that can be put back to what it was at some moment.
pub(crate) struct Slate {
    pub(crate) store: Store,
    wiping: SqliteConnection,
    wipe: String,
    _folder: TempDir,
}

impl Slate {
    /// Keeps what is in the database now.
    pub(crate) async fn keep(store: Store, folder: TempDir) -> Self {
        let (file, kept) = (folder.path().join("tidegate.db"), folder.path().join("kept.db"));
        let mut wiping = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
        let kept = kept.display();
        let keep = format!("pragma foreign_keys = off; vacuum into '{kept}'; attach '{kept}' as kept");
        sqlx::raw_sql(AssertSqlSafe(keep)).execute(&mut wiping).await.unwrap();
        let tables = sqlx::query(TABLES).fetch_all(&mut wiping).await.unwrap();
        let put_back = tables
            .iter()
            .map(|row| row.get::<String, _>(0))
            .map(|table| format!("delete from main.{table}; insert into main.{table} select * from kept.{table};"));
        let wipe = format!("begin immediate; {} commit", put_back.collect::<String>());
        Self { store, wiping, wipe, _folder: folder }
    }

    /// Puts it all back.
    pub(crate) async fn wipe(&mut self) {
        sqlx::raw_sql(AssertSqlSafe(self.wipe.as_str())).execute(&mut self.wiping).await.unwrap();
    }
}
