//! A7 and the laws of the whole: what a rank test or an average misses is found, and what can't be told is not passed.

use serde_json::{Value, json};

use crate::metric::SignalName;
use crate::tests::{deep_check, histogram, step};
use crate::{Counts, Outcome, Reason, Resolved, Settings, Signal, Signals, Span, State, Tick, Verdict, judge, resolve};

fn policy(checks: Vec<Value>) -> Resolved {
    let checks: Vec<_> = checks.into_iter().map(deep_check).collect();
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    resolve(&checks, &settings, &[step(3600)]).unwrap()
}

/// Folds as many ticks as `of` makes.
fn fold(resolved: &Resolved, count: u64, of: impl Fn(u64) -> (Signals, Signals)) -> Verdict {
    let mut state = State::default();
    let mut last = None;
    for number in 1..=count {
        let (candidate, stable) = of(number);
        let tick = crate::tests::tick(number, i64::try_from(number).unwrap() * 15, candidate, stable);
        let (next, verdict) = judge(resolved, state, &[tick]);
        (state, last) = (next, Some(verdict));
    }
    last.unwrap()
}

fn errors(k: f64, n: f64) -> Signals {
    crate::tests::count(SignalName::error(), k, n)
}

fn scores(name: &str, n: f64, mean: f64, sd: f64, scale: f64) -> Signals {
    let (s1, s2) = (n * mean * scale, n * (mean * mean + sd * sd) * scale * scale);
    Signals::from([(SignalName::observation(name), Signal::Mean { n, s1, s2, cap: None })])
}

#[test]
fn most_of_the_answers_a_hundred_times_as_slow_are_found() {
    let resolved = policy(vec![json!({"metric": "p95_latency_ms", "rules": {"max_relative_increase": 1.5}, "phi": 1})]);
    let verdict =
        fold(&resolved, 30, |_| (histogram(&[(10.0, 3), (1000.0, 7)]), histogram(&[(10.0, 190), (12.0, 10)])));
    assert_eq!(verdict.result, Outcome::Breach, "{verdict:#?}");
}

/// A check of restarts a second.
fn restarts(rules: &Value) -> Resolved {
    let query = json!({"events": "restarts_total{version=\"{version}\"}"});
    policy(vec![json!({"metric": "restarts", "query": query, "rules": rules, "phi": 1})])
}

#[test]
fn events_by_the_second_are_held_against_their_limit_and_against_stable() {
    let seen = |k: f64, seconds: f64| crate::tests::count(SignalName::query("restarts"), k, seconds);
    for (rules, bad) in [(json!({"max_absolute": 0.02}), 2.0), (json!({"max_relative_increase": 2}), 3.0)] {
        let resolved = restarts(&rules);
        assert_eq!(resolved.checks[0].method, crate::Method::Sequential);
        // Two pods beside six, 0.01 a second; and the same with so many a tick in the candidate's.
        let healthy =
            fold(&resolved, 240, |at| (seen(f64::from(at % 10 < 3), 30.0), seen(f64::from(at % 10 < 9), 90.0)));
        assert_eq!(healthy.result, Outcome::Pass, "{rules}: {healthy:#?}");
        let worse = fold(&resolved, 20, |at| (seen(bad, 30.0), seen(f64::from(at % 10 < 9), 90.0)));
        assert_eq!(worse.result, Outcome::Breach, "{rules}: {worse:#?}");
        let check = &worse.checks[0];
        assert_eq!(
            (check.value, check.bad_candidate, check.n_candidate),
            (Some(bad / 30.0), Some(bad * 20.0), Some(600.0))
        );
        // Nothing watched is nothing proved.
        let unwatched = fold(&resolved, 20, |_| (Signals::new(), Signals::new()));
        assert_eq!(unwatched.result, Outcome::NoData, "{unwatched:#?}");
    }
}

#[test]
fn few_errors_against_none_pass_no_step_unproved() {
    let resolved =
        policy(vec![json!({"metric": "error_rate", "rules": {"max_relative_increase": 2, "floor": "none"}})]);
    let seen = [0.0, 1.0, 2.0, 1.0, 0.0, 0.0];
    let verdict =
        fold(&resolved, 6, |number| (errors(seen[usize::try_from(number).unwrap() - 1], 50.0), errors(0.0, 50.0)));
    assert_eq!((verdict.result, verdict.reason), (Outcome::Inconclusive, Some(Reason::Undecided)));
}

#[test]
fn twice_the_spread_at_the_same_mean_is_found_by_the_p95() {
    let spread = |ms: &[(f64, u64)]| histogram(ms);
    let resolved = policy(vec![json!({"metric": "p95_latency_ms", "rules": {"max_relative_increase": 1.3}, "phi": 1})]);
    let narrow = || spread(&[(800.0, 50), (1000.0, 100), (1200.0, 50)]);
    let wide = || spread(&[(600.0, 50), (1000.0, 100), (1400.0, 30), (1800.0, 20)]);
    assert_eq!(fold(&resolved, 60, |_| (wide(), narrow())).result, Outcome::Breach);
    assert_ne!(fold(&resolved, 60, |_| (narrow(), narrow())).result, Outcome::Breach);
}

#[test]
fn the_unit_of_a_mean_changes_nothing() {
    let at = |scale: f64| {
        let check = json!({"metric": "quality", "rules": {"max_relative_decrease": 0.05}, "hi": scale});
        let verdict = fold(&policy(vec![check]), 40, |_| {
            (scores("quality", 10.0, 0.80, 0.1, scale), scores("quality", 200.0, 0.85, 0.12, scale))
        });
        (verdict.result, verdict.checks[0].evidence.unwrap().ln_e)
    };
    let (whole, small) = (at(1.0), at(1e-5));
    assert_eq!(whole.0, small.0);
    assert!((whole.1 - small.1).abs() < 1e-9, "{whole:?} {small:?}");
}

#[test]
fn an_outage_of_both_arms_holds_and_never_rolls_back() {
    let resolved = policy(vec![json!({"metric": "error_rate", "rules": {"max_absolute": 0.05}, "phi": 1})]);
    let verdict = fold(&resolved, 40, |_| (errors(40.0, 100.0), errors(400.0, 1000.0)));
    assert_eq!((verdict.result, verdict.reason), (Outcome::Inconclusive, Some(Reason::Environment)));
    let alone = fold(&resolved, 40, |_| (errors(40.0, 100.0), errors(10.0, 1000.0)));
    assert_eq!(alone.result, Outcome::Breach);
}

#[test]
fn one_increment_or_two_halves_of_it_say_the_same() {
    let resolved = policy(vec![json!({"metric": "error_rate", "rules": {"max_relative_increase": 2.0}, "phi": 1})]);
    for (k, expected) in [(12.0, Outcome::Breach), (2.0, Outcome::Pass)] {
        let whole = fold(&resolved, 120, |_| (errors(k, 200.0), errors(20.0, 2000.0)));
        let halves = fold(&resolved, 240, |_| (errors(k / 2.0, 100.0), errors(10.0, 1000.0)));
        assert_eq!((whole.result, halves.result), (expected, expected));
    }
}

#[test]
fn what_is_missing_never_fails_and_never_passes() {
    let resolved = policy(vec![
        json!({"metric": "error_rate", "rules": {"max_absolute": 0.05, "max_relative_increase": 2.0}, "phi": 1}),
        json!({"metric": "quality", "rules": {"max_relative_decrease": 0.05}, "hi": 1}),
    ]);
    let quality = |n: f64| scores("quality", n, 0.85, 0.1, 1.0);
    let both = |k: f64, n: f64| -> Signals { errors(k, n).into_iter().chain(quality(n / 10.0)).collect() };
    // A third of all ticks lost, and one arm for ten minutes.
    let holes = fold(&resolved, 200, |number| match number {
        number if number % 3 == 0 => (Signals::new(), Signals::new()),
        60..100 => (Signals::new(), both(10.0, 1000.0)),
        _ => (both(1.0, 100.0), both(10.0, 1000.0)),
    });
    assert!(holes.result == Outcome::Pass, "{holes:#?}");
    let silent = fold(&resolved, 200, |number| match number {
        0..20 => (both(1.0, 100.0), both(10.0, 1000.0)),
        _ => (Signals::new(), both(10.0, 1000.0)),
    });
    assert_eq!((silent.result, silent.reason), (Outcome::NoData, Some(Reason::Blind)));
    let nonsense = fold(&resolved, 50, |_| (errors(f64::NAN, 100.0), errors(2000.0, 1000.0)));
    assert_eq!(nonsense.result, Outcome::NoData);
}

/// What Prometheus gives: replicas of stable, and buckets with edges of its own.
fn scraped(candidate: Signal, replicas: &[(&str, Signal)], number: u64) -> Tick {
    let name = SignalName::query("p95_ms");
    let mut whole = replicas[0].1.clone();
    replicas[1..].iter().for_each(|(_, signal)| assert!(whole.add(signal)));
    Tick {
        stable_series: [(
            name.clone(),
            replicas.iter().map(|(key, signal)| ((*key).to_owned(), signal.clone())).collect(),
        )]
        .into(),
        ..crate::tests::tick(
            number,
            i64::try_from(number).unwrap() * 15,
            Signals::from([(name.clone(), candidate)]),
            Signals::from([(name, whole)]),
        )
    }
}

fn buckets(edges: &[f64], counts: &[f64]) -> Signal {
    Signal::Buckets { edges: edges.to_vec(), counts: counts.to_vec() }
}

#[test]
fn buckets_that_change_are_no_evidence_and_one_replica_tells_no_dispersion() {
    let query = json!({"buckets": "x_bucket{version=\"{version}\"}"});
    let resolved = policy(vec![json!({"metric": "p95_ms", "query": query, "rules": {"max_relative_increase": 1.5}})]);
    let (edges, counts) = ([100.0, 200.0, 400.0], [60.0, 30.0, 8.0, 2.0]);
    let arm = || buckets(&edges, &counts);
    let run = |replicas: &[(&str, Signal)], last: Signal| {
        let mut state = State::default();
        let mut verdict = None;
        for number in 1..=60 {
            let candidate = if number > 30 { last.clone() } else { arm() };
            let (next, now) = judge(&resolved, state, &[scraped(candidate, replicas, number)]);
            (state, verdict) = (next, Some(now));
        }
        verdict.unwrap().checks.remove(0)
    };
    let two = run(&[("a", arm()), ("b", arm())], arm());
    assert_eq!((two.result, two.evidence.unwrap().phi, two.warnings.len()), (Outcome::Pass, 1.0, 1), "{two:?}");
    let one = run(&[("a", arm())], arm());
    assert_eq!(one.evidence.unwrap().phi, 2.0);
    assert!(one.warnings.contains(&crate::Warning::DispersionUnknown), "{:?}", one.warnings);
    let changed = run(&[("a", arm()), ("b", arm())], buckets(&[50.0, 500.0, 5000.0], &counts));
    assert_eq!((changed.result, changed.reason), (Outcome::NoData, Some(Reason::Blind)));
}

#[test]
fn the_state_of_twelve_gates_stays_small() {
    let rules = |rules: Value, metric: &str| json!({"metric": metric, "rules": rules, "hi": 1});
    let resolved = policy(vec![
        rules(json!({"max_absolute": 0.05, "max_relative_increase": 2.0}), "error_rate"),
        rules(json!({"max_absolute": 5000, "max_relative_increase": 1.5}), "p95_latency_ms"),
        rules(json!({"max_relative_increase": 1.5}), "p99_latency_ms"),
        rules(json!({"max_absolute": 0.08, "max_relative_increase": 1.6}), "hallucination_rate"),
        rules(json!({"min_absolute": "0.9", "max_relative_decrease": 0.1}), "task_success_rate"),
        rules(json!({"max_relative_decrease": 0.05}), "quality_score"),
        rules(json!({"max_absolute": 0.1, "max_relative_increase": 1.2}), "avg_cost_usd"),
    ]);
    assert_eq!(resolved.sequential.gates.len(), 12);
    let arm = |n: f64| -> Signals {
        let mut counts = Counts::new();
        (0..64).for_each(|cell| counts.add_events(200 + cell, 7));
        let observed = ["hallucination", "task_success", "quality_score", "cost_usd"];
        let named = observed.into_iter().flat_map(|name| scores(name, n / 10.0, 0.5, 0.1, 1.0));
        named.chain(errors(n / 97.0, n)).chain([(SignalName::latency(), Signal::Histogram { counts })]).collect()
    };
    let mut state = State::default();
    for number in 1..=300 {
        let tick: Tick = crate::tests::tick(number, i64::try_from(number).unwrap() * 15, arm(75.0), arm(1425.0));
        state = judge(&resolved, state, &[tick]).0;
    }
    let bytes = serde_json::to_vec(&state).unwrap().len();
    println!("{bytes} bytes as JSON");
    assert!(bytes <= 16 * 1024, "{bytes} bytes as JSON");
}
