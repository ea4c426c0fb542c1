//! Whatever a source says instead of numbers, what was proved before does not pass it, and nobody goes back for it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::metric::SignalName;
use crate::tests::{count, deep_check, step, tick};
use crate::{Method, Outcome, Reason, Resolved, Settings, Signal, Signals, Span, State, Tick, Trouble, Verdict};
use crate::{judge, resolve};

/// Ticks until health is proved, and those after which a gate without evidence is blind.
const PROVED: u64 = 120;
const BLIND: u64 = 8;

fn policy() -> Resolved {
    let query = |name: &str| format!("{name}{{version=\"{{version}}\"}}");
    let checks = [
        json!({"metric": "failures", "query": {"bad": query("bad"), "total": query("total")},
            "rules": {"max_absolute": 0.05, "max_relative_increase": 2}}),
        json!({"metric": "p95_wait", "query": {"buckets": query("wait_bucket")}, "rules": {"max_relative_increase": 1.5}}),
    ]
    .map(deep_check);
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    let resolved = resolve(&checks, &settings, &[step(3600)]).unwrap();
    assert!(resolved.checks.iter().all(|check| check.method == Method::Sequential));
    resolved
}

fn waits(edges: &[f64]) -> Signal {
    let counts = (0..=edges.len()).map(|cell| if cell < 2 { 90.0 } else { 10.0 }).collect();
    Signal::Buckets { edges: edges.to_vec(), counts }
}

fn healthy() -> Signals {
    let mut signals = count(SignalName::query("failures"), 2.0, 200.0);
    signals.insert(SignalName::query("p95_wait"), waits(&[0.1, 0.2, 0.3, 0.45, 0.6]));
    signals
}

fn at(number: u64, candidate: Signals, stable: Signals) -> Tick {
    tick(number, i64::try_from(number).unwrap() * 15, candidate, stable)
}

/// What is said when so many ticks of this kind follow upon a proof.
fn after_a_proof(ticks: u64, of: impl Fn(Tick) -> Tick) -> Verdict {
    let (resolved, mut state) = (policy(), State::default());
    let mut last = None;
    for number in 1..=PROVED + ticks {
        let good = at(number, healthy(), healthy());
        let (next, verdict) = judge(&resolved, state, &[if number > PROVED { of(good) } else { good }]);
        assert!(number != PROVED || verdict.result == Outcome::Pass, "{verdict:#?}");
        (state, last) = (next, Some(verdict));
    }
    last.unwrap()
}

#[test]
fn a_source_in_trouble_passes_nothing_whatever_was_proved() {
    let troubled = |trouble, ticks| {
        let verdict = after_a_proof(ticks, |tick| {
            let troubles = BTreeMap::from([(SignalName::query("failures"), trouble)]);
            Tick { candidate: Signals::new(), stable: Signals::new(), troubles, ..tick }
        });
        (verdict.checks[0].result, verdict.checks[0].reason.unwrap(), verdict.result)
    };
    for (trouble, ticks, outcome, reason) in [
        (Trouble::SourceFailed, 1, Outcome::NoData, Reason::SourceFailed),
        (Trouble::SourceFailed, BLIND, Outcome::Error, Reason::SourceFailed),
        (Trouble::QueryRefused, 1, Outcome::Error, Reason::QueryRefused),
        (Trouble::TooManySamples, 1, Outcome::Error, Reason::TooManySamples),
        (Trouble::SeveralSeries, 1, Outcome::Inconclusive, Reason::SeveralSeries),
        (Trouble::NotANumber, 1, Outcome::NoData, Reason::NotANumber),
    ] {
        assert_eq!(troubled(trouble, ticks), (outcome, reason, outcome), "{trouble:?}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_none_and_blind_in_the_end() {
    let failures = |signal: Signal| {
        move |tick: Tick| {
            let mut candidate = tick.candidate.clone();
            candidate.insert(SignalName::query("failures"), signal.clone());
            Tick { candidate, ..tick }
        }
    };
    let odd = [(f64::NAN, 200.0), (f64::INFINITY, 200.0), (-1.0, 200.0), (300.0, 200.0), (0.0, f64::NAN), (0.0, 0.0)];
    for (k, n) in odd {
        let verdict = after_a_proof(BLIND, failures(Signal::Count { k, n }));
        let check = &verdict.checks[0];
        assert_eq!((check.result, check.reason), (Outcome::NoData, Some(Reason::Blind)), "{k} of {n}: {check:#?}");
        assert_eq!(verdict.result, Outcome::NoData, "{k} of {n}");
    }
    let other_kind = after_a_proof(BLIND, failures(Signal::Gauge { value: 0.0, n: None }));
    assert_eq!(other_kind.checks[0].reason, Some(Reason::Blind));
}

#[test]
fn another_layout_of_buckets_and_an_arm_without_traffic_are_blind_in_the_end() {
    let moved = |tick: Tick| {
        let other = || {
            let mut signals = healthy();
            signals.insert(SignalName::query("p95_wait"), waits(&[0.1, 0.2, 0.5, 1.0]));
            signals
        };
        Tick { candidate: other(), stable: other(), ..tick }
    };
    let without_candidate = |tick: Tick| Tick { candidate: Signals::new(), ..tick };
    let without_stable = |tick: Tick| Tick { stable: Signals::new(), ..tick };
    let idle = |tick: Tick| Tick { candidate: Signals::new(), stable: Signals::new(), ..tick };
    let blind = |verdict: &Verdict, check: usize| {
        let check = &verdict.checks[check];
        (check.result, check.reason) == (Outcome::NoData, Some(Reason::Blind))
    };
    // Rules: failures in all, failures to stable, p95 to stable.
    for (name, verdict, expected) in [
        ("layout", after_a_proof(BLIND, moved), [false, false, true]),
        ("no candidate", after_a_proof(BLIND, without_candidate), [true, true, true]),
        ("no stable", after_a_proof(BLIND, without_stable), [false, true, true]),
        ("idle", after_a_proof(BLIND, idle), [true, true, true]),
    ] {
        assert_eq!([0, 1, 2].map(|rule| blind(&verdict, rule)), expected, "{name}: {verdict:#?}");
        assert_eq!(verdict.result, Outcome::NoData, "{name}");
    }
}
