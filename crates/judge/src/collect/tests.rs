use proptest::prelude::*;

use super::{Collected, Collector, Notes, Reading, SIGNALS_MAX, SOURCES_MAX};
use crate::tests::{count, histogram, mean};
use crate::{Arm, Signal, SignalName, Signals};

/// The step's split was applied here; ticks are 15 s.
const APPLIED: i64 = 1_000_000;
const TICK: i64 = 15_000;

fn errors(k: f64, n: f64) -> Signals {
    count(SignalName::error(), k, n)
}

fn reading(source: &str, arm: Arm, at: i64, signals: Signals) -> Reading {
    Reading { source: source.to_owned(), arm, sampled_at_ms: APPLIED + at, started_at_ms: APPLIED - 9_000_000, signals }
}

/// Both arms of a router in one message.
fn message(source: &str, at: i64, candidate: Signals, stable: Signals) -> [Reading; 2] {
    [reading(source, Arm::Candidate, at, candidate), reading(source, Arm::Stable, at, stable)]
}

fn started() -> Collector {
    let mut collector = Collector::new();
    collector.enter_step(APPLIED);
    collector
}

/// Closes tick `number` of the step, from 1.
fn close(collector: &mut Collector, number: i64, readings: &[Reading]) -> Collected {
    collector.close(readings, APPLIED + number * TICK, TICK)
}

#[test]
fn the_first_sample_of_a_step_sets_the_baseline_and_later_ones_carry_the_increase() {
    let mut collector = started();
    let poison = errors(900.0, 1000.0);
    assert_eq!(close(&mut collector, 1, &message("a", 1000, poison.clone(), poison)), Collected::default());
    let next = close(&mut collector, 2, &message("a", 20_000, errors(901.0, 1050.0), errors(905.0, 2000.0)));
    assert_eq!((next.candidate, next.stable), (errors(1.0, 50.0), errors(5.0, 1000.0)));
}

#[test]
fn a_sample_heard_before_the_ticks_end_is_where_the_counts_begin() {
    let mut collector = started();
    assert!(!collector.knows("a"));
    collector.hear(&message("a", 1000, errors(0.0, 10.0), errors(1.0, 100.0)), APPLIED + 1000, TICK);
    assert!(collector.knows("a"));
    let first = close(&mut collector, 1, &message("a", 14_000, errors(2.0, 60.0), errors(1.0, 300.0)));
    assert_eq!((first.candidate, first.stable), (errors(2.0, 50.0), errors(0.0, 200.0)));
}

#[test]
fn samples_from_before_the_step_are_no_evidence_and_no_baseline() {
    let mut collector = started();
    let before = message("a", -1, errors(0.0, 0.0), errors(0.0, 0.0));
    assert_eq!(close(&mut collector, 1, &before), Collected::default());
    let poisoned = message("a", 16_000, errors(500.0, 500.0), errors(0.0, 500.0));
    assert_eq!(close(&mut collector, 2, &poisoned), Collected::default());
}

#[test]
fn a_new_step_starts_anew_and_the_same_step_said_again_does_not() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0)));
    collector.enter_step(APPLIED);
    let more = message("a", 20_000, errors(1.0, 20.0), errors(0.0, 20.0));
    assert_eq!(close(&mut collector, 2, &more).candidate, errors(1.0, 10.0));
    collector.enter_step(APPLIED + 30_000);
    let poison = message("a", 31_000, errors(90.0, 120.0), errors(0.0, 120.0));
    assert_eq!(close(&mut collector, 3, &poison), Collected::default());
    let clean = message("a", 46_000, errors(90.0, 130.0), errors(0.0, 130.0));
    assert_eq!(close(&mut collector, 4, &clean).candidate, errors(0.0, 10.0));
}

#[test]
fn a_series_or_arm_that_appears_later_counts_from_zero() {
    let mut collector = started();
    close(&mut collector, 1, &[reading("a", Arm::Stable, 1000, errors(0.0, 10.0))]);
    let mut both = errors(1.0, 4.0);
    both.append(&mut mean("cost_usd", 4.0, 0.4));
    let next = close(&mut collector, 2, &message("a", 20_000, both.clone(), errors(0.0, 30.0)));
    assert_eq!(next.candidate, both);
}

#[test]
fn a_source_that_appears_later_counts_from_zero_only_if_it_started_in_the_step() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0)));
    let old = message("old", 20_000, errors(50.0, 50.0), errors(50.0, 50.0));
    let new = message("new", 20_000, errors(1.0, 5.0), errors(0.0, 5.0))
        .map(|reading| Reading { started_at_ms: APPLIED, ..reading });
    let next = close(&mut collector, 2, &[old, new].concat());
    assert_eq!((next.candidate, next.stable), (errors(1.0, 5.0), errors(0.0, 5.0)));
}

#[test]
fn a_silent_source_gives_nothing_and_what_it_counts_afterwards_is_kept() {
    let mut collector = started();
    let idle = message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0));
    for number in 1..=20 {
        assert_eq!(close(&mut collector, number, &idle), Collected::default());
    }
    let busy = message("a", 310_000, errors(1.0, 20.0), errors(0.0, 60.0));
    assert_eq!(close(&mut collector, 21, &busy).candidate, errors(1.0, 10.0));
}

#[test]
fn a_source_that_could_not_be_read_for_more_than_four_ticks_loses_the_gap() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0)));
    for number in 2..=6 {
        close(&mut collector, number, &[]);
    }
    let gap = close(&mut collector, 7, &message("a", 100_000, errors(9.0, 90.0), errors(0.0, 90.0)));
    assert_eq!(gap, Collected { notes: Notes { gap_dropped: 2, ..Notes::default() }, ..Collected::default() });
    let next = close(&mut collector, 8, &message("a", 115_000, errors(9.0, 95.0), errors(0.0, 95.0)));
    assert_eq!(next.candidate, errors(0.0, 5.0));
}

#[test]
fn readings_from_after_the_ticks_end_wait_for_their_tick() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0)));
    let early = message("a", 31_000, errors(1.0, 20.0), errors(0.0, 20.0));
    assert_eq!(close(&mut collector, 2, &early), Collected::default());
    // By now the source's latest reading is later still; the one that waited is not lost.
    let later = message("a", 46_000, errors(3.0, 40.0), errors(0.0, 40.0));
    assert_eq!(close(&mut collector, 3, &later).candidate, errors(1.0, 10.0));
    assert_eq!(close(&mut collector, 4, &later).candidate, errors(2.0, 20.0));
}

#[test]
fn a_restart_counts_its_new_value_and_is_noted() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(5.0, 100.0), errors(0.0, 10.0)));
    let fallen = close(&mut collector, 2, &message("a", 20_000, errors(1.0, 30.0), errors(0.0, 15.0)));
    assert_eq!((fallen.candidate, fallen.notes.resets), (errors(1.0, 30.0), 1));
    let hidden = message("a", 35_000, errors(2.0, 60.0), errors(0.0, 40.0))
        .map(|reading| Reading { started_at_ms: APPLIED + 25_000, ..reading });
    let again = close(&mut collector, 3, &hidden);
    assert_eq!((again.candidate, again.notes.resets), (errors(2.0, 60.0), 2), "told by its start alone");
}

#[test]
fn more_bad_events_than_events_are_dropped_and_counted() {
    let mut collector = started();
    close(&mut collector, 1, &message("a", 1000, errors(0.0, 10.0), errors(0.0, 10.0)));
    let next = close(&mut collector, 2, &message("a", 20_000, errors(5.0, 12.0), errors(1.0, 12.0)));
    assert_eq!((next.candidate, next.stable, next.notes.inconsistent), (Signals::new(), errors(1.0, 2.0), 1));
}

#[test]
fn an_arm_waits_for_the_other_and_leaves_alone_after_four_ticks() {
    let mut collector = started();
    let candidate = |at, n| [reading("a", Arm::Candidate, at, errors(0.0, n))];
    close(&mut collector, 1, &candidate(1000, 10.0));
    for number in 2..=5 {
        assert_eq!(close(&mut collector, number, &candidate(16_000, 15.0)).candidate, Signals::new());
    }
    assert_eq!(close(&mut collector, 6, &candidate(16_000, 15.0)).candidate, errors(0.0, 5.0));
    close(&mut collector, 7, &candidate(92_000, 20.0));
    let stable = reading("b", Arm::Stable, 106_000, errors(0.0, 50.0));
    let both = close(&mut collector, 8, &[candidate(107_000, 22.0).to_vec(), vec![stable]].concat());
    assert_eq!(both.candidate, errors(0.0, 7.0));
}

#[test]
fn increments_that_wait_do_not_enter_the_next_step() {
    let mut collector = started();
    close(&mut collector, 1, &[reading("a", Arm::Candidate, 1000, errors(0.0, 10.0))]);
    close(&mut collector, 2, &[reading("a", Arm::Candidate, 16_000, errors(5.0, 15.0))]);
    collector.enter_step(APPLIED + 30_000);
    let clean = message("a", 31_000, errors(5.0, 20.0), errors(0.0, 20.0));
    assert_eq!(close(&mut collector, 3, &clean), Collected::default());
}

#[test]
fn values_cut_at_another_bound_are_another_series() {
    let mut collector = started();
    let cost =
        |n: f64, cap| Signals::from([(SignalName::observation("cost_usd"), Signal::Mean { n, s1: n, s2: n, cap })]);
    close(&mut collector, 1, &message("a", 1000, cost(10.0, None), cost(10.0, None)));
    let cut = close(&mut collector, 2, &message("a", 16_000, cost(12.0, Some(5.0)), cost(12.0, Some(5.0))));
    assert_eq!((cut.candidate, cut.notes), (cost(12.0, Some(5.0)), Notes::default()));
}

#[test]
fn without_a_planned_stable_arm_the_candidate_does_not_wait() {
    let mut collector = Collector::new();
    collector.plan_stable(false);
    collector.enter_step(APPLIED);
    close(&mut collector, 1, &[reading("a", Arm::Candidate, 1000, errors(0.0, 10.0))]);
    let next = close(&mut collector, 2, &[reading("a", Arm::Candidate, 16_000, errors(0.0, 15.0))]);
    assert_eq!(next.candidate, errors(0.0, 5.0));
}

#[test]
fn a_signal_that_is_no_number_or_of_another_kind_changes_nothing_and_the_others_count() {
    let mut collector = started();
    let both = |n: f64, error: Signal| {
        let mut signals = mean("cost_usd", n, n);
        signals.insert(SignalName::error(), error);
        signals
    };
    let fine = |n| both(n, Signal::Count { k: 0.0, n });
    close(&mut collector, 1, &message("a", TICK, fine(10.0), fine(10.0)));
    let bad = [
        Signal::Count { k: f64::NAN, n: 20.0 },
        Signal::Mean { n: 20.0, s1: 1.0, s2: 1.0, cap: None },
        Signal::Gauge { value: 1.0, n: None },
    ];
    for (number, error) in (2..).zip(bad) {
        let n = 10.0 * f64::from(u8::try_from(number).unwrap());
        let next = close(&mut collector, number, &message("a", number * TICK, both(n, error), fine(n)));
        let expected = mean("cost_usd", 10.0, 10.0).into_keys().collect::<Vec<_>>();
        assert_eq!((next.candidate.into_keys().collect::<Vec<_>>(), next.notes.rejected), (expected, 1));
    }
    let last = close(&mut collector, 5, &message("a", 5 * TICK, fine(50.0), fine(50.0)));
    assert_eq!(
        last.candidate.get(&SignalName::error()),
        Some(&Signal::Count { k: 0.0, n: 40.0 }),
        "a gap of four ticks"
    );
}

#[test]
fn too_many_sources_or_signals_are_rejected_and_counted() {
    let mut collector = started();
    let sources: Vec<Reading> =
        (0..SOURCES_MAX + 3).map(|at| reading(&format!("{at:04}"), Arm::Candidate, 1000, errors(0.0, 1.0))).collect();
    assert_eq!(close(&mut collector, 1, &sources).notes.rejected, 3);
    let mut collector = started();
    let signals: Signals = (0..SIGNALS_MAX + 2).flat_map(|at| mean(&format!("x{at}"), 1.0, 1.0)).collect();
    assert_eq!(close(&mut collector, 1, &[reading("a", Arm::Stable, 1000, signals)]).notes.rejected, 2);
}

/// What two routers count over some ticks: requests, errors and latencies that only grow.
fn traffic() -> impl Strategy<Value = Vec<Vec<Reading>>> {
    let part = (0_u32..50, 0_u32..50, 0.0..9000.0, any::<bool>());
    prop::collection::vec([part.clone(), part], 2..12).prop_map(|ticks| {
        let mut totals = [(0.0, 0.0), (0.0, 0.0)];
        let mut latest: Vec<Reading> = Vec::new();
        (0..)
            .zip(ticks)
            .map(|(number, parts)| {
                for (at, (good, bad, ms, is_new)) in parts.into_iter().enumerate() {
                    if !is_new {
                        continue;
                    }
                    let (k, n) = &mut totals[at];
                    (*k, *n) = (*k + f64::from(bad), *n + f64::from(good + bad));
                    let mut signals = errors(*k, *n);
                    signals.append(&mut histogram(&[(ms, u64::from(good))]));
                    let source = ["a", "b"][at];
                    latest.retain(|reading| reading.source != source);
                    latest.extend(message(source, number * TICK + 1000, signals, errors(0.0, *n)));
                }
                latest.clone()
            })
            .collect()
    })
}

fn run(ticks: &[Vec<Reading>], between: impl Fn(Collector) -> Collector) -> Vec<Collected> {
    let mut collector = started();
    (1..)
        .zip(ticks)
        .map(|(number, readings)| {
            let collected = close(&mut collector, number, readings);
            collector = between(std::mem::take(&mut collector));
            collected
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_collector_that_was_stored_and_read_goes_on_as_if_it_had_not_been(ticks in traffic()) {
        let again = |collector: Collector| serde_json::from_str(&serde_json::to_string(&collector).unwrap()).unwrap();
        prop_assert_eq!(run(&ticks, |collector| collector), run(&ticks, again));
    }

    #[test]
    fn the_order_of_readings_and_their_repetition_do_not_matter(ticks in traffic()) {
        let shuffled: Vec<Vec<Reading>> =
            ticks.iter().map(|readings| readings.iter().rev().chain(readings).cloned().collect()).collect();
        prop_assert_eq!(run(&ticks, |collector| collector), run(&shuffled, |collector| collector));
    }

    #[test]
    fn no_reading_makes_the_collector_panic(
        parts in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>(), any::<f64>(), any::<f64>()), 0..20),
    ) {
        let mut collector = Collector::new();
        for (sampled_at_ms, started_at_ms, other, a, b) in parts {
            let mut signals = errors(a, b);
            signals.append(&mut mean("x", b, a));
            let reading = Reading { source: "a".to_owned(), arm: Arm::Stable, sampled_at_ms, started_at_ms, signals };
            collector.enter_step(other);
            collector.close(&[reading], started_at_ms, other);
        }
    }
}
