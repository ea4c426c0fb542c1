//! The transition table, on statig without its macros.
//!
//! There are no entry and no exit actions: loading a rollout must not make anything happen, so what entering a stage means is
//! in [`Draft`]'s `enter_…` functions, called by whoever decides to go there. The outermost superstate answers every pair
//! that nobody below it handles with a named refusal; statig would drop it in silence.

mod anew;
mod backward;
mod draft;
mod forward;
mod waiting;
mod watching;

use statig::Outcome;
use statig::blocking::{IntoStateMachine, State, Superstate};

pub(crate) use draft::Draft;

use crate::decide::Refusal;
use crate::fact::{Fact, Verb, What};
use crate::stage::Stage;

/// What stages have in common.
#[derive(Debug)]
pub(crate) enum Common {
    /// Not final and not turned back: it can be stopped from outside.
    Stoppable,
    /// Everything: refuses what nobody handled.
    Root,
}

impl IntoStateMachine for Draft {
    type Event<'evt> = Fact;
    type Context<'ctx> = ();
    type State = Stage;
    type Superstate<'sub> = Common;

    fn initial() -> Stage {
        Stage::Queued
    }
}

impl State<Draft> for Stage {
    fn call_handler(&mut self, draft: &mut Draft, fact: &Fact, (): &mut ()) -> Outcome<Self> {
        match self {
            Self::Queued => waiting::queued(draft, fact),
            Self::Preparing => waiting::preparing(draft, fact),
            Self::Gated => waiting::gated(draft, fact),
            Self::Paused => waiting::paused(draft, fact),
            Self::Shifting => forward::shifting(draft, fact),
            Self::Promoting => forward::promoting(draft, fact),
            Self::Observing => watching::observing(draft, fact),
            Self::Baking => watching::baking(draft, fact),
            Self::Retreating => backward::retreating(draft, fact),
            Self::Completed | Self::RolledBack | Self::Rejected | Self::Superseded | Self::Cancelled => Outcome::Super,
        }
    }

    fn superstate(&mut self) -> Option<Common> {
        Some(if self.is_final() || *self == Self::Retreating { Common::Root } else { Common::Stoppable })
    }
}

impl Superstate<Draft> for Common {
    fn call_handler(&mut self, draft: &mut Draft, fact: &Fact, (): &mut ()) -> Outcome<Stage> {
        match self {
            Self::Stoppable => backward::stoppable(draft, fact),
            Self::Root => draft.refuse(unhandled(draft, fact)),
        }
    }

    fn superstate(&mut self) -> Option<Self> {
        match self {
            Self::Stoppable => Some(Self::Root),
            Self::Root => None,
        }
    }
}

/// Names the reason for a pair that no stage handled.
fn unhandled(draft: &Draft, fact: &Fact) -> Refusal {
    let row = draft.row();
    match &fact.what {
        _ if row.stage.is_final() => Refusal::Final,
        What::Requested { .. } => Refusal::Duplicate,
        What::DeadlinePassed { version } if *version != row.version => Refusal::OlderDeadline,
        What::DeadlinePassed { .. } => Refusal::TooEarly,
        What::WorkloadReady { attempt }
        | What::WorkloadFailed { attempt, .. }
        | What::VerdictReached { attempt, .. }
            if *attempt != row.attempt =>
        {
            Refusal::OlderAttempt
        }
        What::SplitApplied { generation }
        | What::SplitFailed { generation, .. }
        | What::LeaseExpired { generation }
        | What::RouteDrifted { generation, .. }
        | What::StopSeen { generation }
            if *generation != row.generation =>
        {
            Refusal::OlderGeneration
        }
        _ if row.stage.is_turned_back() => Refusal::TurningBack,
        What::Commanded { verb: Verb::Rollback | Verb::Cancel } => Refusal::NothingToRestore,
        What::Commanded { .. } => Refusal::NotInThisStage,
        What::Overtaken { .. } => Refusal::NearlyThrough,
        _ => Refusal::NotWaitedFor,
    }
}

#[cfg(test)]
mod tests;
