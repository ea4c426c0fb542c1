//! The SQLite arm: opening, settings, and the statements by owner.

mod dialect;
#[path = "statements/map.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine compiles the statements with its own connection and dialect")]
pub(crate) mod statements;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::schema::{self, Schema, migrator};
use crate::{Class, Error};

type Arguments = sqlx::sqlite::SqliteArguments;
type Connection = sqlx::SqliteConnection;
type Engine = sqlx::Sqlite;
type Row = sqlx::sqlite::SqliteRow;

/// Waits no longer for the one writer than this; a step takes milliseconds.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// Readers of the services, and as many of the pages: however many people look, a retreat waits for none of them.
const READERS: u32 = 4;
const SCHEMA: Schema = &[
    (1, "first traffic", include_str!("../../../migrations/sqlite/0001_first_traffic.sql")),
    (2, "notifications", include_str!("../../../migrations/sqlite/0002_notifications.sql")),
    (3, "replay and idempotency", include_str!("../../../migrations/sqlite/0003_replay_and_idempotency.sql")),
    (5, "failing safe", include_str!("../../../migrations/sqlite/0005_failing_safe.sql")),
    (6, "promotions", include_str!("../../../migrations/sqlite/0006_promotions.sql")),
];

/// One file, one writer connection, some readers, and the lock that keeps a second process out.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) pages: SqlitePool,
    _lock: Arc<File>,
}

impl Sqlite {
    /// Opens `folder/tidegate.db`, creating both where they are missing, and brings the schema up to date.
    ///
    /// # Errors
    /// When the folder can't be written, is used by another process, or holds something that is no sound database of ours.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        let lock = lock(folder)?;
        let file = folder.join("tidegate.db");
        private(&file)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(ACQUIRE_LIMIT)
            .foreign_keys(true)
            .statement_cache_capacity(200);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_LIMIT)
                .test_before_acquire(false)
        };
        let writer = pool(1).connect_with(options.clone()).await.map_err(unsound(&file))?;
        check(&writer, &file).await?;
        migrate(&writer, &file).await?;
        let reading = options.pragma("query_only", "on");
        let readers = pool(READERS).connect_with(reading.clone()).await.map_err(unsound(&file))?;
        let pages = pool(READERS).connect_with(reading).await.map_err(unsound(&file))?;
        Ok(Self { writer, readers, pages, _lock: Arc::new(lock) })
    }

    /// Begins a transaction on the one writer. After SQLite rolled back by itself, as it does on a full disk, the driver counts
    /// its connection as inside a transaction for ever: that one is closed, and opened anew.
    pub(crate) async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        const BEGIN: &str = "begin immediate";
        match self.writer.begin_with(BEGIN).await {
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let broken = self.writer.acquire().await?;
                // Whatever closing says, the connection is gone.
                let _ = broken.close().await;
                self.writer.begin_with(BEGIN).await
            }
            begun => begun,
        }
    }

    /// Folds the write-ahead log into the file and closes it.
    pub async fn close(&self) {
        self.pages.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Folder { path, source }
    };
    std::fs::create_dir_all(folder).map_err(refused(folder))?;
    let path = folder.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(refused(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: folder.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(refused(&path)(source)),
    }
}

/// Nobody else reads the file: it holds the salts.
fn private(file: &Path) -> Result<(), Error> {
    let refused = |source| Error::Folder { path: file.to_owned(), source };
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file).map_err(refused)?;
    opened.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(refused)
}

async fn check(pool: &SqlitePool, file: &Path) -> Result<(), Error> {
    let said = sqlx::query("pragma quick_check(1)").fetch_one(pool).await.and_then(|row| row.try_get::<String, _>(0));
    match said {
        Ok(word) if word == "ok" => Ok(()),
        Ok(word) => Err(Error::Damaged { place: named(file), cause: word }),
        Err(cause) => Err(unsound(file)(cause)),
    }
}

/// A full disk or a busy file is no damage: nobody should move the database away for that.
fn unsound(file: &Path) -> impl Fn(sqlx::Error) -> Error {
    move |source| {
        let error = Error::Database { doing: "open", source };
        if error.class() == Class::Transient {
            error
        } else {
            Error::Damaged { place: named(file), cause: text(&error) }
        }
    }
}

fn text(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

async fn migrate(pool: &SqlitePool, file: &Path) -> Result<(), Error> {
    let done = migrator(SCHEMA).run(pool).await;
    done.map_err(|cause| schema::stopped(cause, named(file), SCHEMA, unsound(file)))
}

/// How people call the database.
fn named(file: &Path) -> String {
    file.display().to_string()
}
