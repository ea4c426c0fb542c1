//! Turning back.

use super::journey::Journey;
use super::*;

/// Every stage that has traffic, and how a rollout comes to it.
fn with_traffic() -> Vec<Journey> {
    let at = |stage, step| Journey::of(plan(GATES)).until(stage, step);
    let paused = |stage, step| {
        let mut journey = at(stage, step);
        journey.say(Verb::Pause).unwrap();
        journey
    };
    vec![
        at(Stage::Shifting, 0),
        at(Stage::Observing, 0),
        at(Stage::Gated, 1),
        at(Stage::Shifting, 1),
        at(Stage::Observing, 1),
        at(Stage::Observing, 2),
        at(Stage::Promoting, 2),
        at(Stage::Baking, 2),
        paused(Stage::Gated, 1),
        paused(Stage::Shifting, 1),
        paused(Stage::Observing, 1),
        paused(Stage::Baking, 2),
    ]
}

#[test]
fn r83_a_breach_in_any_stage_with_traffic_ends_rolled_back() {
    for mut journey in with_traffic() {
        let stage = journey.row.stage;
        journey.verdict(Action::Rollback).unwrap();
        assert_eq!(journey.row.stage, Stage::Retreating, "{stage}");
        assert_eq!(journey.row.reason.as_deref(), Some("breach: error_rate 0.2"), "{stage}");
        journey.applied();
        assert_eq!((journey.row.stage, journey.row.wake_at), (Stage::RolledBack, None), "{stage}");
    }
}

#[test]
fn r83_a_breach_in_each_step_of_agent_default_ends_rolled_back() {
    for step in 0..3 {
        let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, step);
        journey.verdict(Action::Rollback).unwrap();
        journey.applied();
        assert_eq!((journey.row.stage, journey.row.step), (Stage::RolledBack, step));
    }
}

#[test]
fn r88_the_retreat_is_the_first_intent_of_its_commit() {
    let turns = [
        What::Commanded { verb: Verb::Rollback },
        What::Commanded { verb: Verb::Cancel },
        What::WorkloadFailed { attempt: 1, reason: "dead".to_owned(), passing: false },
    ];
    for what in turns {
        for mut journey in with_traffic() {
            let intents = journey.tell(what.clone()).unwrap();
            let Some(Intent::ApplySplit { generation, direction: Direction::Back, split }) = intents.first() else {
                panic!("{intents:?}");
            };
            assert_eq!((*generation, split.candidates()), (journey.row.generation, Share::ZERO));
            assert_eq!(journey.row.retreated_at, Some(journey.now));
        }
    }
}

#[test]
fn law_10_a_rollback_restores_exactly_what_was_there_before() {
    let mut served = before();
    served.arms = vec![arm("v1", 7_000), arm("v0", 3_000)];
    served.arms[1].headers.insert("x-prompt".to_owned(), "old".to_owned());
    let mut journey = Journey::asked(preset("agent-default"), Some(served.clone()));
    journey.tell(What::Requested { when_live: WhenLive::Reject, refusal: None }).unwrap();
    journey.route = Some(Before { stable: Version::new("v9").unwrap(), arms: vec![arm("v9", 10_000)] });
    let mut journey = journey.until(Stage::Observing, 2);
    let generation = journey.row.generation;
    let intents = journey.say(Verb::Rollback).unwrap();
    let [Intent::ApplySplit { generation: back, direction, split }] = intents.as_slice() else { panic!("{intents:?}") };
    assert_eq!(journey.row.wish(*direction, split), (served.arms, served.stable));
    assert!(*back > generation);
}

#[test]
fn after_a_retreat_nothing_leads_forward() {
    for turn in [Verb::Rollback, Verb::Cancel] {
        for is_over in [false, true] {
            for mut journey in with_traffic() {
                journey.say(turn).unwrap();
                if is_over {
                    journey.applied();
                }
                for what in everything(&journey.row) {
                    let mut journey = journey.clone();
                    let intents = journey.tell(what.clone()).unwrap_or_default();
                    assert!(journey.row.stage.is_turned_back(), "{what:?} led to {}", journey.row.stage);
                    let goes_forward =
                        |intent: &Intent| matches!(intent, Intent::ApplySplit { direction: Direction::Forward, .. });
                    assert!(!intents.iter().any(goes_forward), "{what:?}: {intents:?}");
                }
            }
        }
    }
}

/// All that can be said to a rollout.
fn everything(row: &Rollout) -> Vec<What> {
    let (attempt, generation) = (row.attempt, row.generation);
    let mut all = vec![
        What::WorkloadReady { attempt },
        What::SplitApplied { generation },
        What::SplitFailed { generation, reason: "no router".to_owned() },
        What::LeaseExpired { generation },
        What::RouteDrifted { generation, found: None },
        What::RouteDrifted { generation, found: Some(generation + 9) },
        What::DeadlinePassed { version: row.version },
        What::Overtaken { by: rollout_id("v3") },
    ];
    all.extend(history::ACTIONS.iter().map(|action| journey::verdict(attempt, *action)));
    all.extend(Verb::ALL.iter().map(|verb| What::Commanded { verb: *verb }));
    all
}

#[test]
fn a_breach_of_an_older_attempt_turns_nothing_back() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 1);
    let older = journey::verdict(journey.row.attempt - 1, Action::Rollback);
    assert_eq!(journey.tell(older), Err(Refusal::OlderAttempt));
}

#[test]
fn before_its_first_split_a_rollout_ends_at_once_and_touches_no_route() {
    let ends = [
        (What::Commanded { verb: Verb::Rollback }, Stage::Cancelled),
        (What::Commanded { verb: Verb::Cancel }, Stage::Cancelled),
        (What::WorkloadFailed { attempt: 1, reason: "dead".to_owned(), passing: false }, Stage::Rejected),
        (What::Overtaken { by: rollout_id("v3") }, Stage::Superseded),
    ];
    let mut paused = Journey::of(plan(GATES)).until(Stage::Gated, 0);
    paused.say(Verb::Pause).unwrap();
    let waiting = [Journey::of(plan(GATES)), Journey::of(plan(GATES)).until(Stage::Gated, 0), paused];
    for (what, end) in ends {
        for mut journey in waiting.clone() {
            let stage = journey.row.stage;
            assert_eq!(journey.tell(what.clone()), Ok(vec![]), "{what:?} in {stage}");
            assert_eq!((journey.row.stage, journey.row.generation), (end, 0), "{what:?} in {stage}");
        }
    }
}

#[test]
fn a_stop_ends_in_the_stage_of_who_said_it() {
    let ends = [
        (What::Commanded { verb: Verb::Rollback }, Stage::RolledBack),
        (What::Commanded { verb: Verb::Cancel }, Stage::Cancelled),
        (What::Overtaken { by: rollout_id("v3") }, Stage::Superseded),
    ];
    for (what, end) in ends {
        let mut journey = Journey::of(plan(GATES)).until(Stage::Observing, 1);
        journey.tell(what).unwrap();
        journey.applied();
        assert_eq!(journey.row.stage, end);
    }
}

#[test]
fn a_retreat_that_is_not_applied_pages_after_two_seconds_and_only_then() {
    let reminded_ms = |journey: &Journey, start: At| -> Vec<i64> {
        let reminders = journey.said.iter().filter(|(at, intent)| *intent == Intent::Remind && *at >= start);
        reminders.map(|(at, _)| at.ms_since(start)).collect()
    };
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    journey.say(Verb::Rollback).unwrap();
    let start = journey.now;
    journey.wait(14 * MINUTE);
    assert_eq!(reminded_ms(&journey, start), [2 * SECOND]);

    let mut quick = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    quick.say(Verb::Rollback).unwrap();
    let start = quick.now;
    quick.wait(SECOND + SECOND / 2);
    quick.applied();
    assert_eq!((reminded_ms(&quick, start), quick.row.stage), (vec![], Stage::RolledBack));
}

#[test]
fn a_retreat_that_waits_pages_each_15_minutes() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    journey.say(Verb::Rollback).unwrap();
    let start = journey.now;
    journey.wait(61 * MINUTE);
    assert_eq!(pages(&journey, start), [15, 30, 45, 60]);
}

#[test]
fn failures_noted_between_two_deadlines_swallow_no_page() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    journey.say(Verb::Rollback).unwrap();
    let start = journey.now;
    for _ in 0..61 * 6 {
        journey.wait(10 * SECOND);
        let failed = What::SplitFailed { generation: journey.row.generation, reason: "no router".to_owned() };
        journey.tell(failed).unwrap();
    }
    assert_eq!(pages(&journey, start), [15, 30, 45, 60]);
}

/// The minutes of the reminders since then.
fn pages(journey: &Journey, start: At) -> Vec<i64> {
    let reminders = journey.said.iter().filter(|(_, intent)| *intent == Intent::Remind);
    reminders.map(|(at, _)| at.ms_since(start) / MINUTE).filter(|minute| *minute > 0).collect()
}

#[test]
fn the_reason_of_a_retreat_stays_when_its_split_fails() {
    let mut journey = Journey::of(preset("agent-default")).until(Stage::Observing, 0);
    journey.say(Verb::Rollback).unwrap();
    let failed = What::SplitFailed { generation: journey.row.generation, reason: "no router".to_owned() };
    journey.tell(failed).unwrap();
    assert_eq!(journey.row.reason.as_deref(), Some("rollback: because"));
}

#[test]
fn a_promoting_or_baking_rollout_is_not_overtaken() {
    for stage in [Stage::Promoting, Stage::Baking] {
        let mut journey = Journey::of(plan(GATES)).until(stage, 2);
        assert_eq!(journey.tell(What::Overtaken { by: rollout_id("v3") }), Err(Refusal::NearlyThrough));
    }
}
