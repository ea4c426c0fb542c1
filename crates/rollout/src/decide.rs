//! The whole logic of a rollout as one function from a row and a fact to the next row.

use statig::blocking::IntoStateMachineExt as _;

use crate::fact::Fact;
use crate::instant::At;
use crate::intent::Intent;
use crate::machine::Draft;
use crate::row::Rollout;

/// What a fact leads to: committed together, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The row after it; its version is one higher.
    pub next: Rollout,
    /// Said in this order.
    pub intents: Vec<Intent>,
}

/// Why a fact changes nothing. Stored by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The rollout is over.
    #[error("final")]
    Final,
    /// The promotion was asked for before.
    #[error("duplicate")]
    Duplicate,
    /// It answers an older attempt.
    #[error("older_attempt")]
    OlderAttempt,
    /// It is about an older generation.
    #[error("older_generation")]
    OlderGeneration,
    /// The deadline belongs to an older version of the row.
    #[error("older_deadline")]
    OlderDeadline,
    /// The deadline has not come yet.
    #[error("too_early")]
    TooEarly,
    /// Nobody waits for it in this stage.
    #[error("not_waited_for")]
    NotWaitedFor,
    /// The word can't be said in this stage.
    #[error("not_in_this_stage")]
    NotInThisStage,
    /// It turns back already, and never goes forward again.
    #[error("turning_back")]
    TurningBack,
    /// It is nearly through, so a newer promote has to wait for its end.
    #[error("nearly_through")]
    NearlyThrough,
    /// No version served before this one.
    #[error("nothing_to_restore")]
    NothingToRestore,
    /// Who asked for the promotion may not approve it.
    #[error("approver_is_requester")]
    ApproverIsRequester,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: &[Self] = &[
        Self::Final,
        Self::Duplicate,
        Self::OlderAttempt,
        Self::OlderGeneration,
        Self::OlderDeadline,
        Self::TooEarly,
        Self::NotWaitedFor,
        Self::NotInThisStage,
        Self::TurningBack,
        Self::NearlyThrough,
        Self::NothingToRestore,
        Self::ApproverIsRequester,
    ];

    /// The refusal of a stored name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.to_string() == name)
    }

    /// The refusal in the words of a message to a person.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Final => "the rollout is over",
            Self::Duplicate => "this promotion was asked for before",
            Self::OlderAttempt => "it answers an older attempt",
            Self::OlderGeneration => "it is about an older split",
            Self::OlderDeadline => "the deadline belongs to an older version of the rollout",
            Self::TooEarly => "the deadline has not come yet",
            Self::NotWaitedFor => "nobody waits for it in this stage",
            Self::NotInThisStage => "this can't be done in this stage",
            Self::TurningBack => "the rollout is turning back and never goes forward again",
            Self::NearlyThrough => "the rollout is nearly through; wait for its end",
            Self::NothingToRestore => "no version served before this one, so there is nothing to go back to",
            Self::ApproverIsRequester => "whoever asked for the promotion may not approve it",
        }
    }
}

/// Decides what `fact` leads to at `now`.
///
/// # Errors
/// The named [`Refusal`] when the fact changes nothing; every pair of stage and fact gives one or the other.
pub fn decide(row: &Rollout, fact: &Fact, now: At) -> Result<Decision, Refusal> {
    let now = now.max(row.updated_at);
    let mut machine = Draft::of(row, now).uninitialized_state_machine();
    *machine.state_mut() = row.stage;
    let mut machine = machine.init();
    machine.handle(fact);
    let stage = *machine.state();
    machine.inner().outcome(stage)
}

/// Folds a log through [`decide`], starting from the row as it was asked for; refused facts change nothing.
#[must_use]
pub fn fold<'f>(requested: Rollout, log: impl IntoIterator<Item = (&'f Fact, At)>) -> Rollout {
    log.into_iter().fold(requested, |row, (fact, at)| match decide(&row, fact, at) {
        Ok(decision) => decision.next,
        Err(_) => row,
    })
}
