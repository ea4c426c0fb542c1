//! Stages in which a split serves and its checks run.

use judge::{Decision, OnInconclusive};
use statig::Outcome;

use super::Draft;
use super::backward::{self, End};
use super::draft::LAST_WORD;
use super::forward;
use crate::fact::{Fact, Verb, What};
use crate::stage::Stage;

pub(super) fn observing(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    let next = draft.row().step.saturating_add(1);
    match &fact.what {
        What::VerdictReached { attempt, action, reason, .. } if *attempt == draft.row().attempt => match action {
            Decision::Advance => {
                draft.because(None);
                draft.enter_step(next, fact)
            }
            Decision::Rollback => Outcome::Super,
            Decision::Gate => {
                draft.because(reason.clone());
                draft.enter_gated(next)
            }
            Decision::Wait | Decision::Hold | Decision::Extend => {
                // The latest word counts: a reason that no longer holds goes with it.
                draft.because(reason.clone());
                Outcome::Handled
            }
        },
        What::Commanded { verb: Verb::Advance } => {
            draft.because(fact.reason.clone());
            draft.enter_step(next, fact)
        }
        What::Commanded { verb: Verb::Promote } => forward::promote(draft, fact, next),
        What::Commanded { verb: Verb::Pause } => draft.enter_paused(Stage::Observing, fact),
        What::DeadlinePassed { .. } if draft.is_due(fact) => dwelt(draft, fact, next),
        _ => Outcome::Super,
    }
}

/// A deadline of a step: the dwell of a step that is not judged, else another word of the judge or, in the end, none.
fn dwelt(draft: &mut Draft, fact: &Fact, next: u32) -> Outcome<Stage> {
    let (dwell, budget, judged) = draft.clock(Stage::Observing);
    if !judged {
        draft.because(None);
        return draft.enter_step(next, fact);
    }
    if draft.was_overslept() {
        draft.try_anew();
        draft.watch(Stage::Observing);
        return Outcome::Handled;
    }
    let limit = dwell.ms().saturating_add(budget.ms()).saturating_add(LAST_WORD.ms());
    if draft.armed_elapsed() < limit {
        draft.watch(Stage::Observing);
        return Outcome::Handled;
    }
    draft.because(Some("no_verdict".to_owned()));
    match draft.on_inconclusive() {
        OnInconclusive::Gate => draft.enter_gated(next),
        OnInconclusive::Rollback if draft.has_way_back() => {
            backward::turn_back(draft, fact, &End::system("no_verdict"))
        }
        OnInconclusive::Rollback | OnInconclusive::Hold => {
            draft.ask_again(LAST_WORD);
            Outcome::Handled
        }
    }
}

pub(super) fn baking(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::VerdictReached { attempt, action, reason, .. }
            if *attempt == draft.row().attempt && *action != Decision::Rollback =>
        {
            draft.because(reason.clone());
            Outcome::Handled
        }
        What::Commanded { verb: Verb::Pause } => draft.enter_paused(Stage::Baking, fact),
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            let (bake, _, judged) = draft.clock(Stage::Baking);
            if judged && draft.was_overslept() {
                draft.try_anew();
                draft.ask_again(LAST_WORD);
                return Outcome::Handled;
            }
            if draft.row().elapsed_ms(draft.now()) >= bake.ms() {
                draft.because(None);
                return draft.enter_final(Stage::Completed);
            }
            draft.watch(Stage::Baking);
            Outcome::Handled
        }
        _ => Outcome::Super,
    }
}
