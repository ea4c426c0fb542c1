//! The laws of a rollout, held against histories and rows as chance makes them. A failing one prints its seed and its history.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::history::{ACTIONS, asked, events, happen};
use super::journey::{Journey, evaluated, verdict};
use super::*;
use crate::{Decision, Seen};

/// The longest history.
const EVENTS_MAX: usize = 40;

/// The deadlines after which a rollout that hears nothing else has ended: of the longest stage of the plans that are tried.
const DEADLINES_MAX: usize = 400;

#[test]
fn ten_thousand_histories_keep_the_laws_and_fold_into_their_row() {
    let (facts, ends) = (Cell::new(0_u32), RefCell::new(BTreeMap::<Stage, u32>::new()));
    let config = ProptestConfig { cases: 10_000, ..ProptestConfig::with_source_file(file!()) };
    let run = TestRunner::new(config).run(&(asked(), events(EVENTS_MAX)), |(mut journey, events)| {
        for event in &events {
            let Some(fact) = happen(&mut journey, event) else { continue };
            facts.set(facts.get() + 1);
            heard(&mut journey, &fact)?;
        }
        prop_assert_eq!(&journey.folded(), &journey.row);
        *ends.borrow_mut().entry(journey.row.stage).or_default() += 1;
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    // A generator that stays near the start would prove nothing.
    let ends = ends.into_inner();
    assert!(facts.get() > 100_000, "{facts:?}");
    assert!(Stage::ALL.iter().all(|stage| ends.get(stage).is_some_and(|count| *count > 20)), "{ends:?}");
}

/// One fact, with every law that a step can break.
fn heard(journey: &mut Journey, fact: &Fact) -> Result<(), TestCaseError> {
    let row = journey.row.clone();
    let now = journey.now.max(row.updated_at);
    let Ok(intents) = journey.hear(fact.clone()) else {
        prop_assert_eq!(&journey.row, &row, "a refused fact changes nothing");
        return Ok(());
    };
    let next = &journey.row;
    prop_assert!(!row.stage.is_final(), "final stages are final");
    prop_assert_eq!(next.version, row.version + 1);
    prop_assert_eq!(next.updated_at, now);
    prop_assert_eq!(next.wake_at.is_none(), next.stage.is_final(), "a deadline exactly where it waits");
    prop_assert!(next.attempt >= row.attempt && next.generation >= row.generation);
    prop_assert!(
        next.wake_at.is_none_or(|at| at >= now || Some(at) == row.wake_at),
        "no deadline is armed in the past"
    );
    backward(&row, next, &intents)?;
    forward(&row, next, fact, now)?;
    the_clock(&row, next, fact, now)?;
    fences(&row, next, &intents)
}

/// Law 5: what turned back never sends traffic forward again.
fn backward(row: &Rollout, next: &Rollout, intents: &[Intent]) -> Result<(), TestCaseError> {
    if row.stage.is_turned_back() {
        prop_assert!(next.stage.is_turned_back());
        prop_assert_eq!(next.retreated_at, row.retreated_at);
    }
    if next.stage.is_turned_back() {
        prop_assert_eq!(next.desired(), Share::ZERO);
        let is_back =
            |intent: &Intent| matches!(intent, Intent::ApplySplit { direction: Direction::Back, .. } | Intent::Remind);
        prop_assert!(intents.iter().all(is_back), "{:?}", intents);
    }
    if next.stage == Stage::Retreating && row.stage != Stage::Retreating {
        prop_assert!(matches!(intents, [Intent::ApplySplit { .. }]), "traffic first: {:?}", intents);
        prop_assert!(next.before.is_some() && next.before == row.before);
    }
    Ok(())
}

/// A step forward has a proof, a person, or a dwell without checks behind it.
fn forward(row: &Rollout, next: &Rollout, fact: &Fact, now: At) -> Result<(), TestCaseError> {
    let is_higher = next.desired() > row.desired();
    let is_further = next.stage != Stage::Gated && next.step > row.step;
    let is_opened =
        row.stage == Stage::Gated && matches!(next.stage, Stage::Shifting | Stage::Promoting) && next.step >= row.step;
    let is_last = next.stage == Stage::Promoting && matches!(row.stage, Stage::Observing | Stage::Shifting);
    if !(is_higher || is_further || is_opened || is_last) {
        return Ok(());
    }
    let step = row.current_step();
    let has_cause = match &fact.what {
        What::WorkloadReady { attempt } => row.stage == Stage::Preparing && *attempt == row.attempt,
        What::VerdictReached { attempt, action: Action::Advance, .. } => {
            row.stage == Stage::Observing && *attempt == row.attempt
        }
        What::DeadlinePassed { .. } => {
            row.stage == Stage::Observing
                && step.is_some_and(|step| !step.judged && row.elapsed_ms(now) >= step.dwell.ms())
        }
        What::Commanded { verb: Verb::Approve } => row.stage == Stage::Gated,
        What::Commanded { verb: Verb::Advance | Verb::Promote } => true,
        _ => false,
    };
    prop_assert!(has_cause, "{} {} to {} {} by {:?}", row.stage, row.step, next.stage, next.step, fact);
    let closed = |step: &crate::Step| step.gate.as_ref().is_some_and(|gate| gate.approver_not_requester);
    if is_opened && fact.actor == row.requested_by {
        prop_assert!(!step.is_some_and(closed), "who asked opened the gate");
    }
    Ok(())
}

/// Law 6: the clock of a step is set by the split that was read back, and by nothing else.
fn the_clock(row: &Rollout, next: &Rollout, fact: &Fact, now: At) -> Result<(), TestCaseError> {
    let watched = matches!(next.stage, Stage::Observing | Stage::Baking);
    prop_assert!(!watched || next.applied_at.is_some());
    if next.applied_at != row.applied_at && next.applied_at.is_some() {
        prop_assert_eq!(&fact.what, &What::SplitApplied { generation: next.generation });
        prop_assert_eq!(next.applied_at, Some(now));
    }
    if next.applied_at.is_some() && !next.stage.is_turned_back() {
        prop_assert_eq!(next.generation, row.generation, "a clock belongs to its split");
    }
    prop_assert!(
        next.stage != Stage::Completed || row.stage == Stage::Baking && next.elapsed_ms(now) >= next.plan.bake.ms()
    );
    Ok(())
}

/// Law 4: intents carry the fences of the row that says them.
fn fences(row: &Rollout, next: &Rollout, intents: &[Intent]) -> Result<(), TestCaseError> {
    for intent in intents {
        match intent {
            Intent::StartWorkload { attempt } | Intent::RunAnalysis { attempt } => {
                prop_assert_eq!(*attempt, next.attempt);
            }
            Intent::ApplySplit { generation, .. } => prop_assert_eq!(*generation, next.generation),
            Intent::Remind => {}
        }
    }
    if next.generation != row.generation {
        prop_assert!(next.attempt > row.attempt);
        prop_assert!(matches!(intents, [Intent::ApplySplit { .. }]), "a new generation is a new split: {:?}", intents);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn when_nobody_answers_any_more_a_rollout_ends(mut journey in asked(), events in events(EVENTS_MAX)) {
        for event in &events {
            if let Some(fact) = happen(&mut journey, event) {
                let _ = journey.hear(fact);
            }
        }
        journey.live = None;
        for _ in 0..DEADLINES_MAX {
            if journey.row.stage.is_final() {
                return Ok(());
            }
            let row = journey.row.clone();
            journey.deadline();
            let is_same = (journey.row.stage, journey.row.step, journey.row.generation) == (row.stage, row.step, row.generation);
            prop_assert!(!is_same || journey.row.wake_at > Some(journey.now), "{} comes again at once", row.stage);
        }
        prop_assert!(waits_for_ever(&journey.row), "{} {:?}", journey.row.stage, journey.row.resume);
    }

    #[test]
    fn a_log_as_it_is_stored_folds_into_its_row(mut journey in asked(), events in events(EVENTS_MAX)) {
        let mut stored = Vec::new();
        for event in &events {
            let Some(fact) = happen(&mut journey, event) else { continue };
            let text = serde_json::to_string(&fact).unwrap();
            if journey.hear(fact).is_ok() {
                stored.push((serde_json::from_str::<Fact>(&text).unwrap(), journey.row.updated_at));
            }
        }
        let first = journey.heard[0].clone();
        let log = std::iter::once(&first).chain(&stored);
        prop_assert_eq!(crate::fold(journey.asked.clone(), log.map(|(fact, at)| (fact, *at))), journey.row);
    }

    #[test]
    fn any_row_answers_any_fact_with_a_decision_or_a_refusal(row in rows(), fact in facts(), now in instants()) {
        match decide(&row, &fact, now) {
            Ok(Decision { next, .. }) => {
                prop_assert_eq!(next.version, row.version.saturating_add(1));
                prop_assert_eq!(next.wake_at.is_none() && row.wake_at.is_some(), next.stage.is_final() && row.wake_at.is_some());
                prop_assert!(!row.stage.is_final());
            }
            Err(refusal) => prop_assert!(Refusal::ALL.contains(&refusal)),
        }
    }
}

/// What the design lets wait without an end: a retreat, the split of a first version and what it can't turn back from, and a policy
/// that says `hold`.
fn waits_for_ever(row: &Rollout) -> bool {
    row.stage == Stage::Retreating
        || row.had_split() && row.before.is_none()
        || row.stage == Stage::Observing
            && row.plan.checks.as_ref().is_some_and(|checks| checks.on_inconclusive == judge::OnInconclusive::Hold)
}

fn instants() -> impl Strategy<Value = At> {
    prop_oneof![prop::sample::select(&[i64::MIN, -1, 0, 1, START.0, i64::MAX]), any::<i64>()].prop_map(At)
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..3_i64, 1 => prop::sample::select(&[i64::MIN, -1, i64::MAX])]
}

fn rows() -> impl Strategy<Value = Rollout> {
    let stage = || prop::sample::select(Stage::ALL);
    let step = prop_oneof![0..5_u32, Just(u32::MAX)];
    let some = || prop::option::of(instants());
    let counts = (numbers(), numbers(), numbers(), numbers());
    let at = (instants(), instants(), some(), some(), instants());
    (asked(), stage(), step, prop::option::of(stage()), counts, at, prop::option::of(Just(before()))).prop_map(
        |(journey, stage, step, resume, (attempt, version, generation, held_ms), at, before)| {
            let (created_at, entered_at, applied_at, wake_at, updated_at) = at;
            let previous = before.as_ref().map(|before| before.stable.clone());
            let counts = Rollout { attempt, version, generation, held_ms, ..journey.row };
            Rollout {
                stage,
                step,
                resume,
                before,
                previous,
                created_at,
                entered_at,
                applied_at,
                wake_at,
                updated_at,
                ..counts
            }
        },
    )
}

fn facts() -> impl Strategy<Value = Fact> {
    let what = prop_oneof![
        Just(What::Requested { when_live: WhenLive::Queue, refusal: None }),
        numbers().prop_map(|version| What::DeadlinePassed { version }),
        numbers().prop_map(|attempt| What::WorkloadReady { attempt }),
        (numbers(), any::<bool>(), any::<String>()).prop_map(|(attempt, passing, reason)| What::WorkloadFailed {
            attempt,
            reason,
            passing
        }),
        numbers().prop_map(|generation| What::SplitApplied { generation }),
        (numbers(), any::<String>()).prop_map(|(generation, reason)| What::SplitFailed { generation, reason }),
        (numbers(), prop::sample::select(ACTIONS)).prop_map(|(attempt, action)| verdict(attempt, action)),
        prop::sample::select(Verb::ALL).prop_map(|verb| What::Commanded { verb }),
        Just(What::Overtaken { by: rollout_id("v3") }),
        numbers().prop_map(|generation| What::LeaseExpired { generation }),
        (numbers(), prop::option::of(numbers()))
            .prop_map(|(generation, found)| What::RouteDrifted { generation, found }),
        Just(evaluated()),
    ];
    (what, any::<bool>(), numbers(), any::<bool>()).prop_map(|(what, is_own, generation, is_second)| {
        let live = is_second.then(|| (rollout_id("v0"), Stage::Observing));
        let seen = Seen { generation, route: None, live };
        Fact { what, actor: if is_own { "rob" } else { "ann" }.to_owned(), reason: None, seen }
    })
}
