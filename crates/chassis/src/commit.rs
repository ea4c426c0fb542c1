//! What a handler decides, as a value: it is written whole, in one transaction, or not at all.

use proto::Message;
use rollout::{At, RolloutId};
use store::{Change, Due, Settled};

/// A message to be said with a commit.
#[derive(Debug, Clone)]
pub struct Say {
    /// Its id: the same whenever the same thing is said.
    pub id: String,
    /// What is said.
    pub message: Message,
}

/// One commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What became of the message.
    pub settled: Settled,
    /// Why it changed nothing.
    pub reason: Option<String>,
    /// The rollout that it was about.
    pub rollout_id: Option<RolloutId>,
    /// Written in this order.
    pub changes: Vec<Change>,
    /// Said in this order.
    pub says: Vec<Say>,
    /// Deadlines that this commit arms.
    pub wakes: Vec<Due>,
}

impl Commit {
    /// A commit that changes nothing yet.
    #[must_use]
    pub const fn applied() -> Self {
        Self {
            settled: Settled::Applied,
            reason: None,
            rollout_id: None,
            changes: Vec::new(),
            says: Vec::new(),
            wakes: Vec::new(),
        }
    }

    /// A fact that changes nothing, with its reason.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { settled: Settled::Refused, reason: Some(reason.into()), ..Self::applied() }
    }

    /// With the rollout that it is about.
    #[must_use]
    pub fn about(mut self, id: &RolloutId) -> Self {
        self.rollout_id = Some(id.clone());
        self
    }

    /// With one more write.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// With one more message.
    #[must_use]
    pub fn say(mut self, id: impl Into<String>, message: Message) -> Self {
        self.says.push(Say { id: id.into(), message });
        self
    }

    /// With everything that `other` writes, says and arms, behind its own; what became of the message stays as it is.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.says.extend(other.says);
        self.wakes.extend(other.wakes);
        self
    }

    /// With a deadline to be looked at.
    #[must_use]
    pub fn wake(mut self, rollout_id: &RolloutId, version: i64, at: Option<At>) -> Self {
        self.wakes.extend(at.map(|wake_at| Due { rollout_id: rollout_id.clone(), version, wake_at }));
        self
    }
}
