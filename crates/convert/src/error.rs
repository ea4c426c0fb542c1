//! Why a source is not imported, or a policy not exported.

use rollout::PolicyError;

/// What stopped a conversion.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text could not be read at all.
    #[error("{file}: no YAML or JSON: {message}")]
    Unreadable {
        /// Its name.
        file: String,
        /// What its parser says.
        message: String,
    },
    /// A field says something that can't be.
    #[error("{file}: {path}: {message}")]
    Field {
        /// The text that it is in.
        file: String,
        /// Its place there.
        path: String,
        /// What is wrong, and what to write.
        message: String,
    },
    /// Something is not among the texts.
    #[error("{0}")]
    Missing(String),
    /// The source says what no policy of ours can say.
    #[error("what it says makes no policy")]
    Policy(#[source] PolicyError),
}
