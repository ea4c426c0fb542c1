//! One message for one receiver.

use rollout::At;
use serde_json::Value;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is tried at its time.
    Waiting,
    /// It is being sent; after a death nobody knows whether it was.
    Sending,
    /// The receiver took it.
    Sent,
    /// It can never work, or was tried for long enough.
    Parked,
}

impl Told {
    const ALL: [Self; 4] = [Self::Waiting, Self::Sending, Self::Sent, Self::Parked];

    /// The stored word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Parked => "parked",
        }
    }

    /// The state of a stored word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == word)
    }
}

/// A message for one receiver about one move of a rollout, or one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// `slack`, `pagerduty` or `webhook`.
    pub channel: String,
    /// The rollout; of news that belong to none, the id of the news.
    pub about: String,
    /// The row's version that is told.
    pub version: i64,
    /// `message`, `trigger`, `resolve` or `change`.
    pub kind: String,
    /// The same for everything that belongs together at the receiver.
    pub dedup_key: String,
    /// What is sent, without keys and tokens.
    pub body: Value,
    /// Where the news came from.
    pub subject: String,
    /// The event that is told, as it is written.
    pub news: String,
    /// What becomes of it.
    pub state: Told,
    /// How often it was tried since it waits.
    pub tries: i64,
    /// A try may have arrived though no answer came.
    pub is_unsure: bool,
    /// What the receiver calls it, where it can be changed later.
    pub receipt: Option<String>,
    /// What stopped the last try.
    pub error: Option<String>,
    /// Since when it is to be told.
    pub since_at: At,
    /// When it is tried next.
    pub attempt_at: At,
}
