//! Splits that wait to be read back, verdicts that do not come, and versions with nothing before them.

use super::journey::Journey;
use super::*;

#[test]
fn a_failed_split_is_noted_and_waits_for_its_limit() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Shifting, 1);
    let wake_at = journey.row.wake_at;
    let failed = What::SplitFailed { generation: journey.row.generation, reason: "no router".to_owned() };
    assert_eq!(journey.tell(failed), Ok(vec![]));
    assert_eq!((journey.row.wake_at, journey.row.reason.as_deref()), (wake_at, Some("split_failed: no router")));
    journey.wait(10 * MINUTE);
    assert_eq!((journey.row.stage, journey.row.reason.as_deref()), (Stage::Retreating, Some("split_not_applied")));
}

#[test]
fn a_lease_that_ended_starts_the_step_anew() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 1);
    let generation = journey.row.generation;
    journey.wait(10 * MINUTE);
    journey.tell(What::LeaseExpired { generation }).unwrap();
    assert_eq!((journey.row.stage, journey.row.step, journey.row.applied_at), (Stage::Shifting, 1, None));
    assert_eq!(journey.tell(What::LeaseExpired { generation }), Err(Refusal::OlderGeneration));
    journey.applied();
    assert_eq!(journey.row.elapsed_ms(journey.now), 0);
}

#[test]
fn a_lease_that_ended_in_a_bake_starts_the_bake_anew() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Baking, 2);
    journey.tell(What::LeaseExpired { generation: journey.row.generation }).unwrap();
    assert_eq!((journey.row.stage, journey.row.desired()), (Stage::Promoting, Share::WHOLE));
}

#[test]
fn no_verdict_leads_to_what_the_policy_says() {
    for (word, stage, step) in
        [("rollback", Stage::Retreating, 0), ("gate", Stage::Gated, 1), ("hold", Stage::Observing, 0)]
    {
        let text = Policy::preset("llm-upgrade").unwrap();
        let text = text.replace("on_inconclusive: rollback", &format!("on_inconclusive: {word}"));
        let mut journey = Journey::of(plan(&text)).until(Stage::Observing, 0);
        journey.wait(150 * SECOND);
        assert_eq!((journey.row.stage, journey.row.step), (stage, step), "{word}");
        assert_eq!(journey.row.reason.as_deref(), Some("no_verdict"), "{word}");
    }
}

#[test]
fn an_inconclusive_rollback_says_so() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let reason = Some("too_few_samples".to_owned());
    let (attempt, result) = (journey.row.attempt, "no_data".to_owned());
    journey.tell(What::VerdictReached { attempt, action: Action::Rollback, result, reason }).unwrap();
    assert_eq!(journey.row.reason.as_deref(), Some("inconclusive: too_few_samples"));
}

#[test]
fn a_first_version_says_its_split_again_without_limit() {
    let mut journey = Journey::first(Plan::activate()).until(Stage::Shifting, 0);
    journey.wait(24 * HOUR);
    assert_eq!(journey.row.stage, Stage::Shifting);
    assert_eq!((journey.row.lease(), journey.splits().len()), (None, 1));
    assert_eq!(journey.until(Stage::Completed, 0).row.desired(), Share::WHOLE);
}

#[test]
fn a_first_version_has_nothing_to_go_back_to() {
    for verb in [Verb::Rollback, Verb::Cancel] {
        let mut journey = Journey::first(Plan::activate()).until(Stage::Shifting, 0);
        assert_eq!(journey.say(verb), Err(Refusal::NothingToRestore));
    }
}

#[test]
fn a_first_version_in_steps_has_everything_from_its_first_split() {
    let journey = Journey::first(plan(GATES)).until(Stage::Observing, 0);
    let split = journey.row.current_step().unwrap().split.clone();
    assert_eq!(journey.row.wish(Direction::Forward, &split).0, [arm("v2", 10_000)]);
    assert_eq!(journey.row.desired(), Share::WHOLE);
}

#[test]
fn limits_of_a_first_version_that_can_not_turn_back_do_not_come_again_at_once() {
    let mut paused = Journey::first(plan(GATES)).until(Stage::Observing, 0);
    paused.say(Verb::Pause).unwrap();
    let first = |stage, step| Journey::first(plan(GATES)).until(stage, step);
    for mut journey in [first(Stage::Gated, 1), first(Stage::Observing, 0), first(Stage::Observing, 1), paused] {
        let stage = journey.row.stage;
        for _ in 0..200 {
            journey.deadline();
            assert_eq!(journey.row.stage, stage);
            assert!(journey.row.wake_at.unwrap() > journey.now, "{stage}");
        }
    }
}
