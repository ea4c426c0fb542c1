//! Stages that wait for a turn, a workload or a person.

use judge::Decision;
use statig::Outcome;

use super::Draft;
use super::backward::{self, End};
use super::forward;
use crate::decide::Refusal;
use crate::fact::{Fact, Verb, What};
use crate::plan::WhenLive;
use crate::stage::Stage;

pub(super) fn queued(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::Requested { when_live, refusal } if draft.row().version == 0 => {
            requested(draft, fact, *when_live, refusal.as_deref())
        }
        // The commit that ends another rollout moves this deadline forward, outside of this log: whoever sees that its turn has
        // come, or that somebody was quicker, is not early.
        What::DeadlinePassed { version } if *version == draft.row().version => {
            if fact.seen.live.is_none() {
                return its_turn(draft, fact);
            }
            if draft.queue_is_over() {
                draft.because(Some("queue_limit".to_owned()));
                return draft.enter_final(Stage::Rejected);
            }
            draft.stay_queued()
        }
        _ => Outcome::Super,
    }
}

fn requested(draft: &mut Draft, fact: &Fact, when_live: WhenLive, refusal: Option<&str>) -> Outcome<Stage> {
    let refusal = refusal.or(match (&fact.seen.live, when_live) {
        (Some(_), WhenLive::Reject) => Some("another_live"),
        _ => None,
    });
    if let Some(reason) = refusal {
        draft.because(Some(reason.to_owned()));
        return draft.enter_final(Stage::Rejected);
    }
    if fact.seen.live.is_some() { draft.stay_queued() } else { its_turn(draft, fact) }
}

/// What was asked for may have come about while it waited: nothing is rolled out beside itself.
fn its_turn(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    if fact.seen.route.as_ref().is_some_and(|route| route.stable == draft.row().candidate) {
        draft.because(Some("already_active".to_owned()));
        return draft.enter_final(Stage::Rejected);
    }
    draft.enter_preparing(fact)
}

pub(super) fn preparing(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    let attempt = draft.row().attempt;
    match &fact.what {
        What::WorkloadReady { attempt: of } if *of == attempt => {
            draft.because(None);
            draft.enter_step(0, fact)
        }
        What::WorkloadFailed { attempt: of, reason, passing: true } if *of == attempt => {
            draft.keep(Some(not_ready(reason)))
        }
        What::WorkloadFailed { attempt: of, reason, passing: false } if *of == attempt => {
            draft.because(Some(not_ready(reason)));
            draft.enter_final(Stage::Rejected)
        }
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            if draft.now() >= draft.row().entered_at.plus(draft.row().plan.prepare_limit) {
                let reason = draft.row().reason.clone().unwrap_or_else(|| not_ready("no answer from the deployer"));
                draft.because(Some(reason));
                return draft.enter_final(Stage::Rejected);
            }
            draft.prepare();
            Outcome::Handled
        }
        _ => Outcome::Super,
    }
}

fn not_ready(reason: &str) -> String {
    format!("not_ready: {reason}")
}

pub(super) fn gated(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::Commanded { verb: Verb::Approve | Verb::Advance } => {
            let gate = draft.row().current_step().and_then(|step| step.gate.as_ref());
            if gate.is_some_and(|gate| gate.approver_not_requester) && fact.actor == draft.row().requested_by {
                return draft.refuse(Refusal::ApproverIsRequester);
            }
            draft.because(fact.reason.clone());
            draft.enter_split(draft.row().step, fact)
        }
        What::Commanded { verb: Verb::Reject } => {
            backward::turn_back(draft, fact, &End::gate(&backward::said("gate_rejected", fact), Stage::Cancelled))
        }
        What::Commanded { verb: Verb::Promote } => forward::promote(draft, fact, draft.row().step),
        What::Commanded { verb: Verb::Pause } => draft.enter_paused(Stage::Gated, fact),
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            if draft.now() >= draft.gate_limit() && draft.has_way_back() {
                return backward::turn_back(draft, fact, &End::gate("gate_expired", Stage::Rejected));
            }
            draft.say(crate::intent::Intent::Remind);
            draft.watch_gate();
            Outcome::Handled
        }
        _ => verdict_beside(draft, fact),
    }
}

pub(super) fn paused(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::Commanded { verb: Verb::Resume } => resume(draft, fact),
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            if draft.now() >= draft.pause_limit() && draft.has_way_back() {
                return backward::turn_back(draft, fact, &End::gate("pause_expired", Stage::Rejected));
            }
            draft.say(crate::intent::Intent::Remind);
            draft.watch_pause();
            Outcome::Handled
        }
        _ => verdict_beside(draft, fact),
    }
}

/// Enters the stage before the pause anew; what was spent paused does not count on the step's clock.
fn resume(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    let step = draft.row().step;
    draft.because(fact.reason.clone());
    match draft.row().resume {
        Some(stage @ (Stage::Observing | Stage::Baking)) => {
            draft.hold_clock();
            draft.watch_anew(stage)
        }
        Some(Stage::Gated) => {
            draft.forget_resume();
            draft.enter_gated(step)
        }
        Some(Stage::Promoting) => {
            draft.forget_resume();
            draft.enter_split(u32::MAX, fact)
        }
        _ => {
            draft.forget_resume();
            draft.enter_split(step, fact)
        }
    }
}

/// The analysis goes on beside a gate and a pause: it opens nothing, but a candidate with traffic can still be taken back.
fn verdict_beside(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::VerdictReached { attempt, action, .. }
            if *attempt == draft.row().attempt && draft.row().had_split() && *action != Decision::Rollback =>
        {
            draft.keep(None)
        }
        _ => Outcome::Super,
    }
}
