//! What can go wrong with a bus.

use std::error::Error as Cause;

/// What can go wrong with a bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server failed, or did not answer in time.
    #[error("nats: can't {doing}: {cause}")]
    Nats {
        /// What we were trying to do.
        doing: &'static str,
        /// Why it failed: the client's errors repeat their sources, so there is only the text of the last one.
        cause: String,
    },
    /// The store that the bus stands on failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The server is too old.
    #[error("the server is nats-server {found}, and tidegate needs {needed} or newer")]
    Old {
        /// What it is.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// The server has something that is not as it must be.
    #[error("nothing was changed, because\n  {}", .0.join("\n  "))]
    Unfit(Vec<String>),
    /// The server has not what a service needs.
    #[error("the nats-server is not set up for this release: {}; run `tidegate init`", .0.join("; "))]
    NotSetUp(Vec<String>),
}

impl Error {
    pub(super) fn nats(doing: &'static str, cause: &dyn Cause) -> Self {
        let mut last = cause;
        while let Some(source) = last.source() {
            last = source;
        }
        Self::Nats { doing, cause: last.to_string() }
    }
}
