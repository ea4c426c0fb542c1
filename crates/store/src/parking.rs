//! Parked messages: what is asked for them, and what became of it.

use rollout::At;

/// What somebody asks for a parked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpark {
    /// It is handled again, under the same id.
    Replay,
    /// It is thrown away.
    Drop,
}

impl Unpark {
    /// The stored word, which is also the one in paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Drop => "drop",
        }
    }

    /// The action of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Replay, Self::Drop].into_iter().find(|action| action.name() == word)
    }
}

/// Somebody's word about a parked message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRow {
    /// Of the parked message.
    pub parked_id: String,
    /// What is asked for.
    pub action: Unpark,
    /// Who asks.
    pub actor: String,
    /// In their words.
    pub reason: Option<String>,
    /// When.
    pub asked_at: At,
}

/// What became of a parked message at somebody's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnparkedRow {
    /// The word.
    pub asked: ReplayRow,
    /// `applied`, `refused`, `parked` or `dropped`.
    pub outcome: &'static str,
    /// Why it was refused, or parked again.
    pub why: Option<String>,
    /// When.
    pub done_at: At,
}

/// What became of a parked message, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnparkedEntry {
    /// The word.
    pub asked: ReplayRow,
    /// `applied`, `refused`, `parked` or `dropped`.
    pub outcome: String,
    /// Why it was refused, or parked again.
    pub why: Option<String>,
    /// When.
    pub done_at: At,
}
