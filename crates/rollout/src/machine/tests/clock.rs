//! When things happen: dwells, limits, restarts, and clocks that jump.

use super::journey::Journey;
use super::*;

fn since_start(journey: &Journey) -> Vec<(i64, u32)> {
    let splits = journey.splits();
    splits.iter().map(|(at, _, _, share)| (at.ms_since(splits[0].0), share.basis_points())).collect()
}

#[test]
fn r17_the_steps_of_llm_upgrade_start_at_0_30_60_and_90_seconds() {
    let mut journey = Journey::of(preset("llm-upgrade"));
    journey.sleep(3 * SECOND);
    journey.ready();
    for _ in 0..3 {
        journey.applied();
        journey.wait(30 * SECOND);
        journey.verdict(Action::Advance).unwrap();
    }
    assert_eq!(since_start(&journey), [(0, 500), (30 * SECOND, 2_500), (60 * SECOND, 5_000), (90 * SECOND, 10_000)]);
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 3));
}

#[test]
fn r17_the_last_step_of_llm_upgrade_is_not_judged_and_completes() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 3);
    journey.deadline();
    journey.applied();
    journey.deadline();
    assert_eq!(journey.row.stage, Stage::Completed);
    assert_eq!(journey.now, START, "with a dwell and a bake of 0 it takes no time");
}

#[test]
fn r83_agent_default_takes_half_an_hour_one_two_and_then_everything() {
    let mut journey = Journey::of(preset("agent-default"));
    journey.ready();
    for dwell in [30 * MINUTE, HOUR, 2 * HOUR] {
        journey.applied();
        journey.wait(dwell);
        journey.verdict(Action::Advance).unwrap();
    }
    let expected = [(0, 500), (30 * MINUTE, 2_500), (90 * MINUTE, 5_000), (210 * MINUTE, 10_000)];
    assert_eq!(since_start(&journey), expected);
    assert_eq!(journey.clone().until(Stage::Completed, 3).row.desired(), Share::WHOLE);
}

#[test]
fn r85_the_clock_of_the_first_step_starts_when_its_split_was_read_back() {
    let mut journey = Journey::of(preset("llm-upgrade"));
    journey.ready();
    journey.wait(40 * SECOND);
    assert_eq!((journey.row.stage, journey.row.applied_at), (Stage::Shifting, None));
    journey.applied();
    assert_eq!(journey.row.applied_at, Some(journey.now));
    assert_eq!(
        journey.row.wake_at,
        Some(journey.now.plus_ms(32 * SECOND)),
        "a whole dwell, and the verdict's way here"
    );
    assert_eq!(journey.row.elapsed_ms(journey.now), 0);
}

#[test]
fn a_clock_does_not_start_with_the_split_of_an_older_generation() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Shifting, 1);
    let older = What::SplitApplied { generation: journey.row.generation - 1 };
    assert_eq!(journey.tell(older), Err(Refusal::OlderGeneration));
    assert_eq!(journey.row.applied_at, None);
}

#[test]
fn r86_a_deadline_counts_once() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let version = journey.row.version;
    journey.deadline();
    assert_eq!(journey.tell(What::DeadlinePassed { version }), Err(Refusal::OlderDeadline));
}

#[test]
fn r86_a_deadline_of_a_stage_already_left_is_refused() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let version = journey.row.version;
    journey.verdict(Action::Advance).unwrap();
    journey.sleep(HOUR);
    assert_eq!(journey.tell(What::DeadlinePassed { version }), Err(Refusal::OlderDeadline));
}

#[test]
fn r86_a_tick_that_is_a_little_late_changes_nothing_but_the_time() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    let attempt = journey.row.attempt;
    journey.sleep(MINUTE + 5 * SECOND);
    assert_eq!(journey.deadline(), [Intent::RunAnalysis { attempt }]);
    assert_eq!(journey.row.wake_at, Some(START.plus_ms(2 * MINUTE)), "the rhythm stays that of the step's clock");
}

#[test]
fn r86_after_a_stop_a_fresh_analysis_is_asked_for_and_older_evidence_refused() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let attempt = journey.row.attempt;
    journey.sleep(10 * MINUTE);
    assert_eq!(journey.deadline(), [Intent::RunAnalysis { attempt: attempt + 1 }]);
    assert_eq!(journey.tell(journey::verdict(attempt, Action::Advance)), Err(Refusal::OlderAttempt));
    assert_eq!(journey.row.wake_at, Some(journey.now.plus_ms(MINUTE)), "the judge has a minute");
    journey.verdict(Action::Advance).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 1));
}

#[test]
fn r86_after_a_stop_the_last_deadline_asks_before_it_turns_back() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    journey.wait(149 * SECOND);
    journey.sleep(HOUR);
    let attempt = journey.row.attempt;
    assert_eq!(journey.deadline(), [Intent::RunAnalysis { attempt: attempt + 1 }]);
    journey.wait(MINUTE);
    assert_eq!((journey.row.stage, journey.row.reason.as_deref()), (Stage::Retreating, Some("no_verdict")));
}

#[test]
fn after_a_stop_a_judged_bake_asks_once_more_before_it_completes() {
    let mut journey = Journey::of(plan(GATES)).until(Stage::Baking, 2);
    let attempt = journey.row.attempt;
    journey.sleep(2 * HOUR);
    assert_eq!(journey.deadline(), [Intent::RunAnalysis { attempt: attempt + 1 }]);
    assert_eq!(journey.row.stage, Stage::Baking);
    journey.wait(MINUTE);
    assert_eq!(journey.row.stage, Stage::Completed);
}

#[test]
fn r86_a_clock_that_jumps_back_makes_nothing_early() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let (version, wake_at, updated_at) = (journey.row.version, journey.row.wake_at, journey.row.updated_at);
    journey.sleep(-HOUR);
    assert_eq!(journey.tell(What::DeadlinePassed { version }), Err(Refusal::TooEarly));
    journey.verdict(Action::Wait).unwrap();
    assert_eq!((journey.row.wake_at, journey.row.updated_at), (wake_at, updated_at));
}

#[test]
fn a_pause_does_not_count_on_the_clock_of_the_step() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 0);
    let applied_at = journey.row.applied_at;
    journey.wait(20 * SECOND);
    journey.say(Verb::Pause).unwrap();
    journey.wait(HOUR);
    journey.say(Verb::Resume).unwrap();
    assert_eq!((journey.row.held_ms, journey.row.applied_at), (HOUR, applied_at));
    assert_eq!(journey.row.elapsed_ms(journey.now), 20 * SECOND);
    assert_eq!(journey.row.wake_at, Some(journey.now.plus_ms(12 * SECOND)), "what is left of the dwell");
}

#[test]
fn what_is_said_again_doubles_its_wait_up_to_a_minute() {
    let mut journey = Journey::of(preset("llm-upgrade"));
    journey.wait(5 * MINUTE);
    let said: Vec<_> = journey.said.iter().map(|(at, _)| at.ms_since(START) / SECOND).collect();
    assert_eq!(said, [0, 5, 15, 35, 75, 135, 195, 255]);
}

#[test]
fn the_analysis_is_said_again_at_the_dwells_end_whatever_its_rhythm() {
    let dwell = plan(
        "steps: [{split: 5, dwell: 150s}, {split: 100}]\nchecks: [{metric: error_rate, rules: {gte: '0.1'}, action: rollback}]\ninconclusive_budget: 100s\n",
    );
    let mut journey = Journey::of(dwell).until(Stage::Observing, 0);
    journey.wait(309 * SECOND);
    let said: Vec<_> = journey.said[2..].iter().map(|(at, _)| at.ms_since(START) / SECOND).collect();
    assert_eq!(said, [0, 60, 120, 152, 180, 240, 250], "and at the end of its budget, a minute before its limit");
    journey.wait(SECOND);
    assert_eq!((journey.row.stage, journey.row.reason.as_deref()), (Stage::Retreating, Some("no_verdict")));
}

#[test]
fn a_step_that_is_not_judged_and_outlasted_before_its_pause_goes_on_at_once_after_it() {
    let mut journey = Journey::of(preset("llm-upgrade")).until(Stage::Observing, 3);
    journey.sleep(SECOND);
    journey.say(Verb::Pause).unwrap();
    journey.wait(HOUR);
    journey.say(Verb::Resume).unwrap();
    assert_eq!(journey.row.wake_at, Some(journey.now), "not in the past, or it would look overslept");
    journey.deadline();
    assert_eq!(journey.row.stage, Stage::Promoting);
}
