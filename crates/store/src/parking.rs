//! Parked messages: reading them, asking for a replay or a drop, and what became of it.

use rollout::At;

use crate::rows::Parked;
use crate::sqlite::parking;
use crate::{Error, Rows, Tx};

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

impl Rows<'_> {
    /// Messages that can never work, newest first, behind the one parked at `after` with that id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked(&mut self, after: (At, &str), limit: i64) -> Result<Vec<Parked>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::page(on, after, limit).await
    }

    /// A parked message, whether or not it was replayed since.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked_one(&mut self, id: &str) -> Result<Option<Parked>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::one(on, id).await
    }

    /// What a service parked because it did not know its type.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked_as_unknown(&mut self, service: &str) -> Result<Vec<Parked>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::unknown(on, service).await
    }

    /// What is asked for a parked message and not done yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replay(&mut self, parked_id: &str) -> Result<Option<ReplayRow>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::asked(on, parked_id).await
    }

    /// What is asked for messages that a service parked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replays(&mut self, service: &str) -> Result<Vec<(ReplayRow, Parked)>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::asked_of(on, service).await
    }

    /// What became of a parked message so far, the latest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unparked(&mut self, parked_id: &str) -> Result<Vec<UnparkedEntry>, Error> {
        let Self::Sqlite(on, _) = self;
        parking::done(on, parked_id).await
    }
}

impl Tx {
    /// Asks for a replay or a drop; `false` when something is asked for already.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn ask(&mut self, replay: &ReplayRow) -> Result<bool, Error> {
        let Self::Sqlite(on, _) = self;
        parking::ask(on, replay).await
    }

    /// Takes the parked mark away, so that the message can be handled again; `false` when it is not parked any more.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn unpark(&mut self, parked: &Parked, actor: &str, at: At) -> Result<bool, Error> {
        let Self::Sqlite(on, _) = self;
        if !parking::claim(on, &parked.id, actor, at).await? {
            return Ok(false);
        }
        parking::unmark(on, parked).await?;
        Ok(true)
    }

    /// Throws a parked message away; its mark stays, so that it does not come again. `false` when it is gone.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn drop_parked(&mut self, parked_id: &str) -> Result<bool, Error> {
        let Self::Sqlite(on, _) = self;
        parking::delete(on, parked_id).await
    }

    /// A replayed message stays parked, with what is wrong with it now.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn park_again(&mut self, parked_id: &str, reason: &str, error: &str, at: At) -> Result<(), Error> {
        let Self::Sqlite(on, _) = self;
        parking::park_again(on, parked_id, (reason, error), at).await
    }

    /// Writes down what became of a parked message; nothing is asked for it any more.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn unparked(&mut self, parked: &Parked, done: &UnparkedRow) -> Result<(), Error> {
        let Self::Sqlite(on, _) = self;
        parking::conclude(on, parked, done).await
    }
}
