//! Turns, gates and pauses.

use super::journey::Journey;
use super::*;

#[test]
fn an_ended_lease_at_a_paused_gate_does_not_open_the_gate() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Gated, 1);
    journey.say(Verb::Pause).unwrap();
    for _ in 0..2 {
        journey.tell(What::LeaseExpired { generation: journey.row.generation }).unwrap();
    }
    journey.say(Verb::Resume).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 0));
    assert_eq!(journey.row.desired(), Share::of_basis_points(500).unwrap());
}

#[test]
fn a_paused_gate_wishes_for_the_split_of_the_step_before() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Gated, 1);
    let share = journey.row.desired();
    journey.say(Verb::Pause).unwrap();
    assert_eq!((journey.row.desired(), share.basis_points()), (share, 500));
}

#[test]
fn who_asked_for_the_promotion_opens_no_gate_that_forbids_it() {
    for verb in [Verb::Approve, Verb::Advance, Verb::Promote] {
        let mut journey = Journey::of(plan(GATES)).until(Stage::Gated, 1);
        let fact = journey.fact(What::Commanded { verb }, "rob", None);
        assert_eq!(journey.hear(fact), Err(Refusal::ApproverIsRequester), "{verb:?}");
    }
}

#[test]
fn who_asked_for_the_promotion_skips_no_later_gate_that_forbids_it() {
    for (stage, step, expected) in [
        (Stage::Shifting, 0, Err(Refusal::ApproverIsRequester)),
        (Stage::Observing, 0, Err(Refusal::ApproverIsRequester)),
        (Stage::Observing, 1, Ok(Stage::Promoting)),
    ] {
        let mut journey = Journey::of(plan(GATES)).until(stage, step);
        let fact = journey.fact(What::Commanded { verb: Verb::Promote }, "rob", None);
        assert_eq!(journey.hear(fact).map(|_| journey.row.stage), expected, "{stage} {step}");
    }
}

#[test]
fn a_gate_behind_the_last_step_opens_to_the_whole() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Observing, 2);
    journey.verdict(Action::Gate).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Gated, 3));
    assert_eq!(journey.row.desired(), Share::WHOLE);
    journey.say(Verb::Approve).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Promoting, 2));
}

#[test]
fn a_refused_gate_says_why() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Gated, 1);
    journey.say(Verb::Reject).unwrap();
    assert_eq!(journey.row.reason.as_deref(), Some("gate_rejected: because"));
}

#[test]
fn a_pause_of_a_split_says_it_anew_with_a_new_generation() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Shifting, 1);
    let (attempt, generation) = (journey.row.attempt, journey.row.generation);
    journey.say(Verb::Pause).unwrap();
    assert_eq!(journey.tell(What::SplitApplied { generation }), Err(Refusal::NotWaitedFor));
    journey.say(Verb::Resume).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 1));
    assert!(journey.row.attempt > attempt && journey.row.generation > generation);
}

#[test]
fn a_reason_that_no_longer_holds_goes() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    journey.verdict(Action::Hold).unwrap();
    assert_eq!(journey.row.reason.as_deref(), Some("error_rate 0.2"));
    journey
        .tell(What::VerdictReached {
            attempt: journey.row.attempt,
            action: Action::Wait,
            result: "pass".to_owned(),
            reason: None,
        })
        .unwrap();
    assert_eq!(journey.row.reason, None);
}

#[test]
fn a_queued_rollout_waits_for_the_end_of_the_live_one() {
    let mut journey = Journey::asked(plan(GATES), Some(before()));
    journey.live = Some((rollout_id("v0"), Stage::Baking));
    journey.tell(What::Requested { when_live: WhenLive::Supersede, refusal: None }).unwrap();
    assert_eq!((journey.row.stage, journey.row.wake_at), (Stage::Queued, Some(START.plus_ms(24 * HOUR))));
    assert_eq!(journey.row.before, None, "what it will take over from is not known yet");
    journey.live = None;
    journey.deadline();
    assert_eq!((journey.row.stage, journey.row.before.clone()), (Stage::Preparing, Some(before())));
}

#[test]
fn a_text_from_outside_is_cut_between_letters() {
    let mut journey = Journey::of(plan(GATES));
    let failed = What::WorkloadFailed { attempt: 1, reason: "ü".repeat(1000), passing: true };
    journey.tell(failed).unwrap();
    assert_eq!(journey.row.reason.map(|reason| reason.len()), Some(499), "`not_ready: ` and whole letters");
}

#[test]
fn what_serves_by_the_time_its_turn_comes_is_not_rolled_out_beside_itself() {
    let mut journey = Journey::asked(plan(GATES), Some(before()));
    journey.live = Some((rollout_id("v0"), Stage::Promoting));
    journey.tell(What::Requested { when_live: WhenLive::Queue, refusal: None }).unwrap();
    journey.live = None;
    journey.route.as_mut().unwrap().stable = journey.row.candidate.clone();
    journey.tell(What::DeadlinePassed { version: 1 }).unwrap();
    assert_eq!((journey.row.stage, journey.row.reason.as_deref()), (Stage::Rejected, Some("already_active")));
}
