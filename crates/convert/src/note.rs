//! What a person must know about a part that became something else, or nothing.

use std::fmt;

/// One part of the source, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its place in the source, such as `spec.analysis.webhooks[0]`.
    pub path: String,
    /// What became of it, why, and what to do instead.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}
