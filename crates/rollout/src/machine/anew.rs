//! Asking for the split of now once more, with a new generation: when a lease ended, and when a target was found to serve something
//! else. Its step starts again, because what was seen of it meanwhile was not the step.

use statig::Outcome;

use super::Draft;
use super::backward::{End, said, turn_back};
use crate::fact::Fact;
use crate::plan::{OnDrift, OnLeaseExpired};
use crate::row::Rollout;
use crate::stage::Stage;

/// The targets serve the stable arm: the split is asked for anew, and with it the step's clock starts again.
pub(super) fn lease_expired(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    if draft.row().plan.on_lease_expired == OnLeaseExpired::Rollback {
        return turn_back(draft, fact, &End::system("lease_expired"));
    }
    draft.because(Some("lease_expired".to_owned()));
    if draft.row().stage == Stage::Paused {
        return resume_anew(draft);
    }
    enter(draft, fact)
}

/// A target serves something else than it was told. An older route, or an unreadable one, was put right without us; one that the
/// wish can't take the place of has to be overtaken by a newer wish.
pub(super) fn drifted(draft: &mut Draft, fact: &Fact, found: Option<i64>) -> Outcome<Stage> {
    let (stage, generation) = (draft.row().stage, draft.row().generation);
    let holds = draft.row().plan.on_drift == OnDrift::Hold;
    let is_asked_for = matches!(stage, Stage::Shifting | Stage::Promoting);
    if found.is_some_and(|found| found < generation) && !holds || found.is_none() && is_asked_for {
        return draft.keep(None);
    }
    draft.because(Some(said("route_drifted", fact)));
    if is_asked_for {
        // It goes on waiting, so its limit stays: a split that never comes through turns back in the end.
        draft.overtake(fact);
        draft.shift(stage);
        return Outcome::Handled;
    }
    match stage {
        // Nobody watches a pause, and its lease may have ended: the candidate gets nothing until somebody resumes.
        Stage::Paused if found.is_some() && !holds => {
            draft.overtake(fact);
            draft.clamp();
            resume_anew(draft)
        }
        Stage::Paused => resume_anew(draft),
        _ if holds => {
            let reason = draft.row().reason.clone();
            let entered = draft.enter_paused(stage, fact);
            draft.because(reason);
            resume_anew(draft);
            entered
        }
        _ => enter(draft, fact),
    }
}

/// The stage that asks for the split of now, and its step. The gate of a step stands behind the split of the step before it.
fn place(row: &Rollout) -> (Stage, u32) {
    let stage = row.resume.filter(|_| row.stage == Stage::Paused).unwrap_or(row.stage);
    match stage {
        Stage::Promoting | Stage::Baking => (Stage::Promoting, row.step),
        Stage::Gated => (Stage::Shifting, row.step.saturating_sub(1)),
        _ => (Stage::Shifting, row.step),
    }
}

fn enter(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    let (stage, step) = place(draft.row());
    draft.enter_split(if stage == Stage::Promoting { u32::MAX } else { step }, fact)
}

/// Stays paused; what `resume` enters asks for the split anew.
fn resume_anew(draft: &mut Draft) -> Outcome<Stage> {
    let (stage, step) = place(draft.row());
    draft.resume_with(stage, step);
    Outcome::Handled
}
