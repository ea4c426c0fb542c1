//! What can go wrong with a store, sorted by what a caller does about it.

use std::path::PathBuf;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// A statement, a transaction or an opening that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not do what it was asked.
    #[error("database: {doing}")]
    Database {
        /// What we were trying to do.
        doing: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value does not decode.
    #[error("the stored {what} does not decode: {cause}")]
    Stored {
        /// The column or object.
        what: &'static str,
        /// Why not.
        cause: String,
    },
    /// A write that must be there already was not.
    #[error("{what} does not exist")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// Another program holds the folder.
    #[error("another tidegate is using {path}; stop it, or choose another folder with --data")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be used.
    #[error("can't use {path} for data")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database is damaged or of something else.
    #[error("{place} is not a sound tidegate database: {cause}; move it away or restore a backup")]
    Damaged {
        /// Which.
        place: String,
        /// What the check said.
        cause: String,
    },
    /// The database was made by a newer release.
    #[error("{place} was made by a newer tidegate (schema {found}, this one knows {known}); start the newer release")]
    Newer {
        /// Which.
        place: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The database waits for its migrations.
    #[error(
        "{place} is older than this tidegate (schema {found}, this one needs {known}); run `tidegate migrate` first"
    )]
    Older {
        /// Which.
        place: String,
        /// Its schema; 0 when it has none.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Nobody can connect to such an address.
    #[error("the address of the database can't be used: {cause}; write it as postgres://user@host/name")]
    Address {
        /// Why not.
        cause: String,
    },
}

/// What a caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Another one was quicker: handle again at once.
    Race,
    /// Try again after a while; nothing was acknowledged.
    Transient,
    /// It can never work with this message.
    Never,
    /// The service is broken.
    Code,
}

impl Error {
    pub(crate) fn of(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    /// Whether the disk is full: people can do something about that.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(cause), .. } = self else { return false };
        match Said::by(cause.as_ref()) {
            Said::Sqlite(code) => code == FULL,
            Said::Postgres(state) => state == "53100",
        }
    }

    /// Whether the database does not let us read or write that at all.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(cause), .. } = self else { return false };
        matches!(Said::by(cause.as_ref()), Said::Postgres("42501"))
    }

    /// Sorts the error (RELIABILITY section 1.2).
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Database { source, .. } => class_of(source),
            Self::Stored { .. } | Self::Missing { .. } => Class::Never,
            Self::InUse { .. }
            | Self::Folder { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Address { .. } => Class::Code,
        }
    }
}

/// The code of an engine's refusal.
enum Said<'e> {
    /// Its primary result code.
    Sqlite(i64),
    /// Its SQLSTATE.
    Postgres(&'e str),
}

impl<'e> Said<'e> {
    fn by(cause: &'e (dyn DatabaseError + 'static)) -> Self {
        match cause.try_downcast_ref::<PgDatabaseError>() {
            Some(cause) => Self::Postgres(cause.code()),
            None => Self::Sqlite(cause.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(0) & 0xff),
        }
    }
}

fn class_of(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Database(cause) => match Said::by(cause.as_ref()) {
            Said::Sqlite(code) => class_of_code(code, cause.message()),
            Said::Postgres(state) => class_of_state(state, cause.constraint()),
        },
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Class::Transient
        }
        sqlx::Error::RowNotFound => Class::Never,
        _ => Class::Code,
    }
}

const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const IO: i64 = 10;
const FULL: i64 = 13;
const CONSTRAINT: i64 = 19;

fn class_of_code(code: i64, message: &str) -> Class {
    match code {
        BUSY | LOCKED | IO | FULL => Class::Transient,
        CONSTRAINT if RACES.iter().any(|(name, columns)| message.contains(name) || message.contains(columns)) => {
            Class::Race
        }
        CONSTRAINT => Class::Never,
        _ => Class::Code,
    }
}

/// What two writers can break that have each read before the other wrote, with the columns, by which SQLite calls it: whoever
/// comes second reads again and decides anew.
const RACES: [(&str, &str); 2] = [
    ("rollout_one_live", "rollout.tenant, rollout.model"),
    ("version_one_active", "model_registry.tenant, model_registry.model_type, model_registry.name"),
];

/// Beside the table of RELIABILITY 1.2: a transaction that was open for too long (25P03) is tried again, and so is one on a
/// server that only reads (25006), until another one takes its place.
fn class_of_state(state: &str, constraint: Option<&str>) -> Class {
    match state {
        "23505" if RACES.iter().any(|(name, _)| constraint == Some(*name)) => Class::Race,
        "40001" | "40P01" | "55P03" | "57014" | "25P03" | "25006" => Class::Transient,
        _ if ["08", "53", "57P0"].iter().any(|group| state.starts_with(group)) => Class::Transient,
        _ if ["22", "23"].iter().any(|group| state.starts_with(group)) => Class::Never,
        _ => Class::Code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_postgresql_has_its_class() {
        let classes = [
            (
                Class::Transient,
                "08000 08006 40001 40P01 53100 53200 53300 55P03 57014 57P01 57P02 57P03 57P05 25P03 25006",
            ),
            (Class::Never, "22001 22021 22P02 22P05 23502 23503 23505 23514"),
            (Class::Code, "42P01 42501 42703 28000 28P01 3D000 25P02 XX000 0A000"),
        ];
        for (class, states) in classes {
            for state in states.split(' ') {
                assert_eq!(class_of_state(state, None), class, "{state}");
                assert_eq!(class_of_state(state, Some("outbox_says_it_once")), class, "{state}");
            }
        }
        assert_eq!(class_of_state("23505", Some("rollout_one_live")), Class::Race);
        assert_eq!(class_of_state("23505", Some("version_one_active")), Class::Race);
        assert_eq!(class_of_state("23514", Some("rollout_one_live")), Class::Never);
    }

    #[test]
    fn each_code_of_sqlite_has_its_class() {
        for (class, codes) in [(Class::Transient, [5, 6, 10, 13]), (Class::Code, [0, 1, 11, 26])] {
            for code in codes {
                assert_eq!(class_of_code(code, ""), class, "{code}");
            }
        }
        assert_eq!(class_of_code(CONSTRAINT, "UNIQUE constraint failed: outbox.message_id"), Class::Never);
        assert_eq!(class_of_code(CONSTRAINT, "UNIQUE constraint failed: rollout.tenant, rollout.model"), Class::Race);
        let active = "UNIQUE constraint failed: model_registry.tenant, model_registry.model_type, model_registry.name";
        assert_eq!(class_of_code(CONSTRAINT, active), Class::Race);
    }
}
