use std::collections::BTreeMap;

use super::{Reply, Scraped, Scrapes};
use crate::query::Part;
use crate::series::Sample;
use crate::tests::count;
use crate::{Arm, Notes, Signal, SignalName, Signals};

/// The step's split was applied here; ticks are 15 s, scrapes come each 5 s.
const APPLIED: i64 = 1_000_000;
const TICK: i64 = 15_000;

fn errors() -> SignalName {
    SignalName::query("errors")
}

/// A series with samples as (milliseconds after the step's begin, value).
fn series(target: &str, part: Part, labels: &str, samples: &[(i64, f64)]) -> Scraped {
    let samples = samples.iter().map(|(at, value)| Sample { at_ms: APPLIED + at, value: *value }).collect();
    Scraped { target: target.to_owned(), labels: labels.to_owned(), part, edge: f64::INFINITY, samples }
}

fn total(target: &str, samples: &[(i64, f64)]) -> Scraped {
    series(target, Part::Total, "", samples)
}

fn bad(target: &str, samples: &[(i64, f64)]) -> Scraped {
    series(target, Part::Counted, "code=500", samples)
}

fn reply(series: Vec<Scraped>) -> Reply {
    Reply { signal: errors(), arm: Arm::Candidate, series, started: BTreeMap::new() }
}

/// Without a stable arm to wait for.
fn started() -> Scrapes {
    let mut scrapes = Scrapes::default();
    scrapes.enter_step(APPLIED, false);
    scrapes
}

/// Closes tick `number` of the step, from 1.
fn close(scrapes: &mut Scrapes, number: i64, replies: &[Reply]) -> (Signals, Notes) {
    let notes = scrapes.take(replies, APPLIED + number * TICK, TICK);
    (scrapes.close().candidate, notes)
}

fn counted(k: f64, n: f64) -> Signals {
    count(errors(), k, n)
}

#[test]
fn the_first_scrape_of_a_target_sets_the_baseline_and_what_comes_later_counts_from_zero() {
    let mut scrapes = started();
    let poison = (-5_000, 900.0);
    let first = reply(vec![
        total("a", &[poison, (1_000, 1_000.0), (6_000, 1_010.0), (11_000, 1_030.0)]),
        // No such series before the first error.
        bad("a", &[(11_000, 2.0)]),
    ]);
    assert_eq!(close(&mut scrapes, 1, &[first]).0, counted(2.0, 30.0));
    // What was read before is read again, and changes nothing.
    let again =
        reply(vec![total("a", &[(6_000, 1_010.0), (11_000, 1_030.0), (16_000, 1_040.0)]), bad("a", &[(16_000, 2.0)])]);
    assert_eq!(close(&mut scrapes, 2, &[again]).0, counted(0.0, 10.0));
}

#[test]
fn a_target_that_comes_later_counts_from_zero_only_if_it_started_in_the_step() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 5.0)])])]);
    let mut late = reply(vec![total("old", &[(16_000, 700.0), (21_000, 701.0)]), total("new", &[(21_000, 7.0)])]);
    late.started = BTreeMap::from([("old".to_owned(), APPLIED - 1), ("new".to_owned(), APPLIED)]);
    assert_eq!(close(&mut scrapes, 2, &[late]).0, counted(0.0, 8.0));
}

#[test]
fn each_series_resets_and_vanishes_by_itself() {
    let mut scrapes = started();
    let two = |a: &[(i64, f64)], b: &[(i64, f64)]| {
        reply(vec![series("a", Part::Total, "path=/a", a), series("a", Part::Total, "path=/b", b)])
    };
    close(&mut scrapes, 1, &[two(&[(1_000, 1_000.0)], &[(1_000, 10.0)])]);
    // One goes: what the other has done since is all that counts.
    assert_eq!(close(&mut scrapes, 2, &[two(&[], &[(16_000, 15.0)])]).0, counted(0.0, 5.0));
    let (signals, notes) = close(&mut scrapes, 3, &[two(&[], &[(31_000, 4.0)])]);
    assert_eq!((signals, notes.resets), (counted(0.0, 4.0), 1));
}

#[test]
fn a_gap_of_up_to_four_ticks_is_carried_and_a_longer_one_is_dropped() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 0.0)])])]);
    assert_eq!(close(&mut scrapes, 5, &[reply(vec![total("a", &[(61_000, 40.0)])])]).0, counted(0.0, 40.0));
    let (signals, notes) = close(&mut scrapes, 10, &[reply(vec![total("a", &[(122_000, 90.0)])])]);
    assert_eq!((signals, notes.gap_dropped), (Signals::new(), 1));
    assert_eq!(close(&mut scrapes, 10, &[reply(vec![total("a", &[(127_000, 95.0)])])]).0, counted(0.0, 5.0));
}

#[test]
fn what_is_no_number_and_what_contradicts_itself_is_dropped_and_counted() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 0.0)])])]);
    let odd = [(16_000, f64::NAN), (17_000, f64::INFINITY), (18_000, -1.0), (19_000, 10.0)];
    let (signals, notes) = close(&mut scrapes, 2, &[reply(vec![total("a", &odd)])]);
    assert_eq!((signals, notes.rejected), (counted(0.0, 10.0), 3));
    let more = reply(vec![total("a", &[(31_000, 12.0)]), bad("a", &[(31_000, 3.0)])]);
    let (signals, notes) = close(&mut scrapes, 3, &[more]);
    assert_eq!((signals, notes.inconsistent), (Signals::new(), 1));
}

#[test]
fn a_part_without_its_whole_is_nothing_and_waits_for_it() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 0.0)])])]);
    assert_eq!(close(&mut scrapes, 2, &[reply(vec![bad("a", &[(16_000, 3.0)])])]).0, Signals::new());
    let both = reply(vec![total("a", &[(31_000, 12.0)]), bad("a", &[(16_000, 3.0), (31_000, 3.0)])]);
    assert_eq!(close(&mut scrapes, 3, &[both]).0, counted(3.0, 12.0));
}

#[test]
fn buckets_become_cells_over_the_edges_that_are_there() {
    let mut scrapes = started();
    let bucket = |edge: f64, samples: &[(i64, f64)]| Scraped {
        edge,
        ..series("a", Part::Buckets, &format!("le={edge}"), samples)
    };
    let all = reply(vec![
        bucket(f64::INFINITY, &[(1_000, 10.0), (6_000, 30.0)]),
        bucket(0.5, &[(1_000, 5.0), (6_000, 12.0)]),
        bucket(1.0, &[(1_000, 8.0), (6_000, 20.0)]),
    ]);
    let cells = Signal::Buckets { edges: vec![0.5, 1.0], counts: vec![7.0, 5.0, 8.0] };
    assert_eq!(close(&mut scrapes, 1, &[all]).0, Signals::from([(errors(), cells)]));
}

#[test]
fn events_by_the_second_count_for_as_long_as_their_target_was_watched() {
    let mut scrapes = started();
    let events = |target: &str, labels: &str, samples: &[(i64, f64)]| series(target, Part::Events, labels, samples);
    let mut first = reply(vec![
        events("a", "kind=x", &[(1_000, 40.0), (6_000, 42.0), (11_000, 42.0)]),
        events("a", "kind=y", &[(1_000, 7.0), (6_000, 7.0), (11_000, 8.0)]),
        events("born", "kind=x", &[(9_000, 3.0), (11_000, 4.0)]),
    ]);
    first.started = BTreeMap::from([("born".to_owned(), APPLIED + 5_000)]);
    // Ten seconds of the one and two of the other, however many series each has.
    assert_eq!(close(&mut scrapes, 1, &[first]).0, counted(4.0, 12.0));
    // Started anew: what it has counted since then came in the same time.
    let again = reply(vec![events("a", "kind=x", &[(16_000, 4.0)])]);
    let (signals, notes) = close(&mut scrapes, 2, &[again]);
    assert_eq!((signals, notes.resets), (counted(4.0, 5.0), 1));
    // A gap too long is no time that was watched.
    let late = reply(vec![events("a", "kind=x", &[(90_000, 50.0), (95_000, 51.0)])]);
    assert_eq!(close(&mut scrapes, 7, &[late]).0, counted(1.0, 5.0));
}

#[test]
fn counters_that_begin_anew_are_told_by_signal_once() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 50.0)]), total("b", &[(1_000, 60.0)])])]);
    scrapes.take(&[reply(vec![total("a", &[(16_000, 5.0)]), total("b", &[(16_000, 6.0)])])], APPLIED + 2 * TICK, TICK);
    assert_eq!(scrapes.close().resets, BTreeMap::from([(errors(), 2)]));
    assert_eq!(scrapes.close().resets, BTreeMap::new());
}

#[test]
fn arms_leave_together_or_after_four_ticks_alone() {
    let mut scrapes = Scrapes::default();
    scrapes.enter_step(APPLIED, true);
    let stable = |samples: &[(i64, f64)]| Reply { arm: Arm::Stable, ..reply(vec![total("s", samples)]) };
    scrapes.take(
        &[reply(vec![total("a", &[(1_000, 0.0), (6_000, 4.0)])]), stable(&[(2_000, 0.0)])],
        APPLIED + TICK,
        TICK,
    );
    assert_eq!(scrapes.close().candidate, counted(0.0, 4.0), "a baseline is a good sample too");
    scrapes.take(&[reply(vec![total("a", &[(16_000, 9.0)])])], APPLIED + 2 * TICK, TICK);
    for _ in 0..4 {
        assert_eq!(scrapes.close().candidate, Signals::new());
    }
    assert_eq!(scrapes.close().candidate, counted(0.0, 5.0));
}

#[test]
fn what_is_remembered_survives_json_and_a_new_step_begins_anew() {
    let mut scrapes = started();
    close(&mut scrapes, 1, &[reply(vec![total("a", &[(1_000, 5.0)])])]);
    let mut again: Scrapes = serde_json::from_str(&serde_json::to_string(&scrapes).unwrap()).unwrap();
    assert_eq!(again, scrapes);
    assert!(again.knows(&errors(), Arm::Candidate, "a"));
    assert_eq!(again.wanted_since_ms(APPLIED + 2 * TICK, TICK), APPLIED);
    assert_eq!(again.wanted_since_ms(APPLIED + 90 * TICK, TICK), APPLIED + 85 * TICK);
    again.enter_step(APPLIED + 1, false);
    assert!(!again.knows(&errors(), Arm::Candidate, "a"));
}
