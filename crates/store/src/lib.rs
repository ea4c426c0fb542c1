//! The only SQL: one enum over the engines. The statements are written once, in `statements/`; what an engine says in other words
//! stands in its dialect.
//!
//! Reads are functions of [`Rows`], on a reader or inside a transaction. Writes are values ([`Change`]) that a transaction
//! applies; each is conditional on what it was computed from and reports whether it won. Transactions hold no network call.

mod change;
mod delivery;
mod error;
mod known;
mod parking;
mod postgres;
mod read;
mod relay;
mod rows;
mod schema;
mod sqlite;
mod standing;
mod write;

use std::path::Path;

use rollout::At;
use serde::Serialize;
use serde::de::DeserializeOwned;

use known::Known;
use postgres::answered;

pub use change::{Change, Written};
pub use delivery::{Delivery, Told};
pub use error::{Class, Error};
pub use parking::{ReplayRow, Unpark, UnparkedEntry, UnparkedRow};
pub use postgres::examine::Examined;
pub use read::{Reader, Rows};
pub use relay::Placed;
pub use rows::{
    BaselineRow, BeatRow, BusValue, Due, FactRow, FactsOf, IdempotencyRow, JudgeRow, Live, Mark, ModelRow,
    ObservationRow, Outgoing, Parked, Place, PolicyRow, PromotionRow, RefusalRow, Said, Scene, Settled, StopRow,
    TargetRow, TickRow, Transition, VersionRow, WorkloadRow,
};
pub use standing::Standing;
pub use write::{SWEEP, Tx};

/// A database: one arm an engine.
#[derive(Debug, Clone)]
pub enum Store {
    /// One file, for the embedded form.
    Sqlite(sqlite::Sqlite),
    /// A server, for the distributed form.
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the SQLite database in `folder`, creating it where it is missing.
    ///
    /// # Errors
    /// When the folder can't be written, is used by another process, or holds something that is no sound database of ours.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        Ok(Self::Sqlite(sqlite::Sqlite::open(folder).await?))
    }

    /// Connects to the PostgreSQL database at `url`, with at most so many connections beside those of pages.
    ///
    /// # Errors
    /// When the address is none, the server does not answer within 3 s, or the schema is not this release's.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, Error> {
        Ok(Self::Postgres(postgres::Postgres::connect(url, connections).await?))
    }

    /// Brings the schema of the PostgreSQL database at `url` up to date. A SQLite database is migrated when it is opened.
    ///
    /// # Errors
    /// When the address is none, the server does not answer, or the schema is a newer release's.
    pub async fn migrate(url: &str) -> Result<(), Error> {
        postgres::migrate(url).await
    }

    /// Lets a role of the PostgreSQL database at `url` log in with a password.
    ///
    /// # Errors
    /// When the address is none, the server does not answer, or has no such role.
    pub async fn let_in(url: &str, role: &str, password: &str) -> Result<(), Error> {
        postgres::let_in(url, role, password).await
    }

    /// Looks at the server and the database at `url`, whatever they are like.
    ///
    /// # Errors
    /// When the address is none, or the server does not answer.
    pub async fn examine(url: &str) -> Result<Examined, Error> {
        postgres::examine::examine(url).await
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When the database does not answer within 10 s.
    pub async fn begin(&self) -> Result<Tx, Error> {
        match self {
            Self::Sqlite(sqlite) => Ok(Tx::Sqlite(sqlite.begin().await.map_err(Error::of("begin"))?, Known::default())),
            Self::Postgres(postgres) => {
                let begun = answered(async { postgres.begin().await.map_err(Error::of("begin")) });
                Ok(Tx::Postgres(begun.await?, Known::default()))
            }
        }
    }

    /// A connection that only reads.
    ///
    /// # Errors
    /// When the database does not answer within 5 s.
    pub async fn reader(&self) -> Result<Reader, Error> {
        match self {
            Self::Sqlite(sqlite) => Ok(Reader::Sqlite(sqlite.readers.acquire().await.map_err(Error::of("read"))?)),
            Self::Postgres(postgres) => Ok(Reader::Postgres(postgres.pool.acquire().await.map_err(Error::of("read"))?)),
        }
    }

    /// A connection that only reads, for pages: whoever looks must not be in front of whoever acts.
    ///
    /// # Errors
    /// When the database does not answer within 5 s.
    pub async fn page(&self) -> Result<Reader, Error> {
        match self {
            Self::Sqlite(sqlite) => Ok(Reader::Sqlite(sqlite.pages.acquire().await.map_err(Error::of("read"))?)),
            Self::Postgres(postgres) => {
                Ok(Reader::Postgres(postgres.pages.acquire().await.map_err(Error::of("read"))?))
            }
        }
    }

    /// What time it is for the database; none where that is a file, which has the time of whoever asks.
    ///
    /// # Errors
    /// When the database does not answer within 10 s.
    pub async fn time(&self) -> Result<Option<At>, Error> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(postgres) => answered(postgres.time()).await.map(Some),
        }
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }
}

fn json(what: &'static str, value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|cause| Error::Stored { what, cause: cause.to_string() })
}

fn stored<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|cause| Error::Stored { what, cause: cause.to_string() })
}
