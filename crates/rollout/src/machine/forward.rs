//! Stages that wait until a split is applied and read back.

use statig::Outcome;

use super::Draft;
use super::backward::{self, End};
use super::draft::SPLIT_LIMIT;
use crate::decide::Refusal;
use crate::fact::{Fact, Verb, What};
use crate::stage::Stage;

pub(super) fn shifting(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::SplitApplied { generation } if *generation == draft.row().generation => {
            draft.enter_watching(Stage::Observing)
        }
        What::Commanded { verb: Verb::Pause } => draft.enter_paused(Stage::Shifting, fact),
        What::Commanded { verb: Verb::Promote } => promote(draft, fact, draft.row().step.saturating_add(1)),
        _ => unapplied(draft, fact, Stage::Shifting),
    }
}

pub(super) fn promoting(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::SplitApplied { generation } if *generation == draft.row().generation => {
            draft.enter_watching(Stage::Baking)
        }
        _ => unapplied(draft, fact, Stage::Promoting),
    }
}

/// On to the whole at once. It opens every gate from the step `from` on, so it asks for what they ask for.
pub(super) fn promote(draft: &mut Draft, fact: &Fact, from: u32) -> Outcome<Stage> {
    let first = usize::try_from(from).unwrap_or(usize::MAX);
    let is_own = fact.actor == draft.row().requested_by;
    if is_own
        && draft
            .row()
            .plan
            .steps
            .iter()
            .skip(first)
            .filter_map(|step| step.gate.as_ref())
            .any(|gate| gate.approver_not_requester)
    {
        return draft.refuse(Refusal::ApproverIsRequester);
    }
    draft.because(fact.reason.clone());
    draft.enter_split(u32::MAX, fact)
}

/// A failure is recorded and waits; silence is answered by saying the split again, until its limit.
fn unapplied(draft: &mut Draft, fact: &Fact, stage: Stage) -> Outcome<Stage> {
    match &fact.what {
        What::SplitFailed { generation, reason } if *generation == draft.row().generation => {
            draft.keep(Some(format!("split_failed: {reason}")))
        }
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            // Without a version before there is nothing to turn back to: the split is said again without limit.
            if draft.row().before.is_some() && draft.now() >= draft.row().entered_at.plus(SPLIT_LIMIT) {
                return backward::turn_back(draft, fact, &End::system("split_not_applied"));
            }
            draft.shift(stage);
            Outcome::Handled
        }
        _ => Outcome::Super,
    }
}
