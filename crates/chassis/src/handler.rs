//! What a service is: one fact or request in, one commit out.

use std::future::Future;

use proto::{Event, Message};
use rollout::{At, RolloutId};
use store::{Class, Due, Rows, Store};

use crate::bus;
use crate::commit::Commit;
use crate::consumers::Consumer;

/// A message that passed the door.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Who sent it.
    pub source: String,
    /// Its id within the source.
    pub id: String,
    /// When it was said.
    pub said_at: At,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The rollout that it names.
    pub rollout_id: Option<RolloutId>,
    /// The attempt that it names.
    pub attempt: Option<i64>,
    /// What it says.
    pub message: Message,
}

impl Incoming {
    pub(crate) fn of(event: &Event, message: Message, said_at: At) -> Self {
        Self {
            source: event.source.clone(),
            id: event.id.clone(),
            said_at,
            traceparent: event.traceparent.clone(),
            rollout_id: event.rollout_id.as_deref().and_then(|id| RolloutId::new(id).ok()),
            attempt: event.attempt,
            message,
        }
    }
}

/// Why a handler runs.
#[derive(Debug, Clone)]
pub enum Cause {
    /// A message came.
    Message(Box<Incoming>),
    /// A deadline passed.
    Deadline(Due),
}

/// A failure, sorted into what is done about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Try again after a while; nothing was written.
    #[error("{0}")]
    Later(String),
    /// It can never work.
    #[error("{error}")]
    Never {
        /// A word of a closed set.
        reason: &'static str,
        /// What exactly is wrong.
        error: String,
    },
    /// The store failed; it says by itself which of the two it is.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<bus::Error> for Failure {
    fn from(error: bus::Error) -> Self {
        match error {
            bus::Error::Store(error) => Self::Store(error),
            // Whatever is wrong with a server, it may be right in a while.
            error => Self::Later(error.to_string()),
        }
    }
}

impl Failure {
    /// A failure that will not go away.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over words and errors that they have no other use for"
    )]
    pub fn never(reason: &'static str, error: impl ToString) -> Self {
        Self::Never { reason, error: error.to_string() }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Later(_) => Class::Transient,
            Self::Never { .. } => Class::Never,
            Self::Store(error) => error.class(),
        }
    }

    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Never { reason, .. } => reason,
            Self::Later(_) => "later",
            Self::Store(_) => "refused_by_database",
        }
    }
}

/// A service.
pub trait Handler: Send + Sync + 'static {
    /// Its name: the source of its messages is `/tidegate/<name>`.
    const NAME: &'static str;
    /// Its durable consumers.
    const CONSUMERS: &'static [Consumer];
    /// How many causes of one consumer, and how many deadlines, are in hand at once.
    const PARALLEL: usize = 1;

    /// What [`Handler::act`] learned outside.
    type Seen: Send + Sync;

    /// Works on the outside world, before and outside of the transaction. Bounded by the caller.
    fn act(&self, store: &Store, cause: &Cause, now: At) -> impl Future<Output = Result<Self::Seen, Failure>> + Send;

    /// Reads at once what several causes will ask for one by one, inside their transaction.
    fn foresee(&self, rows: Rows<'_>, causes: &[Cause]) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (rows, causes);
        async { Ok(()) }
    }

    /// Decides, from rows read inside the transaction. May run more than once for a cause: a lost race is decided anew, and what
    /// failed in company is decided alone.
    fn handle(
        &self,
        rows: Rows<'_>,
        cause: &Cause,
        seen: &Self::Seen,
        now: At,
    ) -> impl Future<Output = Result<Commit, Failure>> + Send;

    /// Deadlines that come before `before`.
    fn due(&self, rows: Rows<'_>, before: At, limit: i64) -> impl Future<Output = Result<Vec<Due>, Failure>> + Send {
        let _ = (rows, before, limit);
        async { Ok(Vec::new()) }
    }
}
