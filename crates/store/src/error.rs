//! What can go wrong with a store, sorted by what a caller does about it.

use std::path::PathBuf;

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
    /// The database file is damaged or of something else.
    #[error("{path} is not a sound tidegate database: {cause}; move it away or restore a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check said.
        cause: String,
    },
    /// The database was made by a newer release.
    #[error("{path} was made by a newer tidegate (schema {found}, this one knows {known}); start the newer release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
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

const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const IO: i64 = 10;
const FULL: i64 = 13;
const CONSTRAINT: i64 = 19;

impl Error {
    pub(crate) fn of(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    /// Whether the disk is full: people can do something about that.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(cause), .. } = self else { return false };
        cause.code().and_then(|code| code.parse::<i64>().ok()).is_some_and(|code| code & 0xff == FULL)
    }

    /// Sorts the error (RELIABILITY section 1.2).
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Database { source, .. } => class_of(source),
            Self::Stored { .. } | Self::Missing { .. } => Class::Never,
            Self::InUse { .. } | Self::Folder { .. } | Self::Damaged { .. } | Self::Newer { .. } => Class::Code,
        }
    }
}

fn class_of(error: &sqlx::Error) -> Class {
    let sqlx::Error::Database(cause) = error else {
        return match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Class::Transient
            }
            sqlx::Error::RowNotFound => Class::Never,
            _ => Class::Code,
        };
    };
    let code = cause.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(0);
    match code & 0xff {
        BUSY | LOCKED | IO | FULL => Class::Transient,
        CONSTRAINT
            if cause.message().contains("rollout.tenant, rollout.model")
                || cause.message().contains("rollout_one_live") =>
        {
            Class::Race
        }
        CONSTRAINT => Class::Never,
        _ => Class::Code,
    }
}
