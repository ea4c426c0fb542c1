//! Targets that serve something else than they were told.

use super::journey::Journey;
use super::*;
use crate::OnDrift;

fn at(stage: Stage, step: u32) -> Journey {
    Journey::of(plan(GATES)).until(stage, step)
}

fn paused(stage: Stage, step: u32) -> Journey {
    let mut journey = at(stage, step);
    journey.say(Verb::Pause).unwrap();
    journey
}

fn found(journey: &Journey, above: i64) -> What {
    let generation = journey.row.generation;
    What::RouteDrifted { generation, found: Some(generation + above) }
}

#[test]
fn a_foreign_route_that_the_wish_cannot_follow_is_overtaken_in_every_stage() {
    let mut retreating = at(Stage::Observing, 1);
    retreating.say(Verb::Rollback).unwrap();
    let journeys = [
        at(Stage::Shifting, 0),
        at(Stage::Observing, 0),
        at(Stage::Gated, 1),
        at(Stage::Promoting, 2),
        at(Stage::Baking, 2),
        paused(Stage::Gated, 1),
        paused(Stage::Shifting, 1),
        paused(Stage::Baking, 2),
        retreating,
    ];
    for above in [0, 1, 1_000] {
        for mut journey in journeys.clone() {
            let (stage, generation) = (journey.row.stage, journey.row.generation);
            let intents = journey.tell(found(&journey, above)).unwrap();
            let [Intent::ApplySplit { generation: next, .. }] = intents.as_slice() else { panic!("{intents:?}") };
            assert_eq!((*next, journey.row.generation), (generation + above + 1, *next), "{stage}");
        }
    }
}

#[test]
fn a_step_starts_again_when_its_split_was_not_what_was_served() {
    let mut journey = at(Stage::Observing, 1);
    let intents = journey.tell(found(&journey, 3)).unwrap();
    assert_eq!((journey.row.stage, journey.row.step, journey.row.applied_at), (Stage::Shifting, 1, None));
    assert!(matches!(&intents[..], [Intent::ApplySplit { split, .. }] if split.candidates().basis_points() == 5_000));
    assert_eq!(journey.verdict(Action::Advance), Err(Refusal::NotWaitedFor), "first it is read back");
    journey.applied();
    assert_eq!(journey.row.elapsed_ms(journey.now), 0);
}

#[test]
fn overtaking_in_a_pause_gives_the_candidate_nothing_until_somebody_resumes() {
    let mut latched = paused(Stage::Observing, 1);
    latched.tell(What::LeaseExpired { generation: latched.row.generation }).unwrap();
    for mut journey in [paused(Stage::Observing, 1), latched] {
        let intents = journey.tell(found(&journey, 1)).unwrap();
        let [Intent::ApplySplit { direction: Direction::Forward, split, .. }] = intents.as_slice() else {
            panic!("{intents:?}")
        };
        assert_eq!((journey.row.stage, split.candidates()), (Stage::Paused, Share::ZERO));
        let intents = journey.say(Verb::Resume).unwrap();
        assert!(
            matches!(&intents[..], [Intent::ApplySplit { split, .. }] if split.candidates().basis_points() == 5_000)
        );
        assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 1));
    }
}

#[test]
fn a_split_that_others_overwrite_again_and_again_turns_back_at_its_limit() {
    let mut journey = at(Stage::Shifting, 0);
    for _ in 0..9 {
        journey.wait(MINUTE);
        journey.tell(found(&journey, 1)).unwrap();
        assert_eq!(journey.row.stage, Stage::Shifting);
    }
    journey.wait(MINUTE);
    let reason = journey.row.reason.as_deref();
    assert_eq!((journey.row.stage, reason), (Stage::Retreating, Some("split_not_applied")));
}

#[test]
fn where_drift_holds_a_person_decides_and_a_retreat_does_not_wait() {
    let mut journey = Journey::of(Plan { on_drift: OnDrift::Hold, ..plan(GATES) }).until(Stage::Observing, 1);
    let generation = journey.row.generation;
    let drifted = found(&journey, -1);
    let fact = journey.fact(drifted, "traffic-updater", Some("somebody edited it"));
    assert_eq!(journey.hear(fact).unwrap(), [Intent::Remind]);
    assert_eq!((journey.row.stage, journey.row.generation), (Stage::Paused, generation));
    assert_eq!(journey.row.reason.as_deref(), Some("route_drifted: somebody edited it"));
    let mut turned = journey.clone();
    turned.say(Verb::Rollback).unwrap();
    assert_eq!(turned.row.stage, Stage::Retreating);
    journey.say(Verb::Resume).unwrap();
    assert_eq!((journey.row.stage, journey.row.step), (Stage::Shifting, 1));
    // What was found is still there, and stands above the split that was asked for.
    journey.tell(found(&journey, 4)).unwrap();
    assert_eq!((journey.row.stage, journey.row.generation), (Stage::Shifting, generation + 6));
}
