use proptest::prelude::*;

use super::budget::Status;
use super::{Alert, Objective, Slice, Slo, Standing, resolve};
use crate::check::Check;
use crate::metric::SignalName;
use crate::settings::{Settings, StepShape};
use crate::signal::{Counts, Signal, Signals};
use crate::span::Span;

const MINUTE: Span = Span::from_secs(60);

fn slo(metric: &str, bound: &str, target: f64) -> Slo {
    let (min, max) = if bound == "min" { (Some(target), None) } else { (None, Some(target)) };
    Slo { metric: metric.to_owned(), min, max, window: None, budget: None }
}

/// The objective of a policy that has one check.
fn objective(slo: Slo) -> Result<Objective, String> {
    let check = Check {
        metric: "error_rate".to_owned(),
        rules: serde_json::from_str(r#"{"gte": 0.1}"#).unwrap(),
        ..Check::default()
    };
    let shape = StepShape { dwell: Span::from_secs(600), share: 0.05 };
    let settings = Settings { slos: Some(vec![slo]), ..Settings::default() };
    match crate::resolve(&[check], &settings, &[shape]) {
        Ok(resolved) => Ok(resolved.slos.into_iter().next().unwrap()),
        Err(problems) => Err(problems.into_iter().map(|found| format!("{}: {}", found.path, found.message)).collect()),
    }
}

fn counted(name: SignalName, k: f64, n: f64) -> Signals {
    Signals::from([(name, Signal::Count { k, n })])
}

/// How an objective stands after minutes of so many bad events out of so many.
fn after(objective: &Objective, minutes: &[(f64, f64)]) -> Standing {
    let signals: Vec<Signals> = minutes.iter().map(|(bad, all)| counted(SignalName::error(), *bad, *all)).collect();
    let slices: Vec<Slice<'_>> = signals.iter().map(|signals| Slice { length: MINUTE, signals }).collect();
    objective.standing(&slices)
}

#[test]
fn r24_nine_bad_of_ten_thousand_leave_98_percent_of_a_budget_of_five() {
    let objective = objective(Slo { budget: Some(0.05), ..slo("error_rate", "max", 0.05) }).unwrap();
    let standing = after(&objective, &[(9.0, 10_000.0)]);
    assert!((standing.remaining - 0.982).abs() < 1e-12, "{standing:?}");
    assert_eq!((standing.status, standing.value), (Status::Healthy, Some(0.0009)));
    assert_eq!(after(&objective, &[]).status, Status::Unknown);
    assert_eq!(after(&objective, &[(600.0, 10_000.0)]).status, Status::Exhausted);
    assert!(after(&objective, &[(1000.0, 10_000.0)]).remaining < 0.0, "overspent");
}

#[test]
fn r23_the_defaults_of_the_source_leave_a_budget_of_five_percent_in_an_hour() {
    for objective in [
        objective(slo("task_success_rate", "min", 0.95)).unwrap(),
        objective(slo("p95_latency_ms", "max", 2000.0)).unwrap(),
        objective(slo("hallucination_rate", "max", 0.05)).unwrap(),
    ] {
        assert!((objective.budget - 0.05).abs() < 1e-12, "{objective:?}");
        assert_eq!(objective.window, Span::from_secs(3600));
    }
}

#[test]
fn a_quantile_spends_by_slow_requests_and_a_mean_by_its_sum() {
    let p95 = objective(slo("p95_latency_ms", "max", 2000.0)).unwrap();
    let mut counts = Counts::new();
    (0..97).for_each(|_| counts.record(800.0));
    (0..3).for_each(|_| counts.record(9000.0));
    let signals = Signals::from([(SignalName::latency(), Signal::Histogram { counts })]);
    let standing = p95.standing(&[Slice { length: MINUTE, signals: &signals }]);
    assert!((standing.remaining - 0.4).abs() < 1e-9 && standing.value.unwrap() < 1000.0, "3 of 5 %: {standing:?}");

    let cost = objective(slo("avg_cost_usd", "max", 0.10)).unwrap();
    let spent = |s1: f64| {
        let signals =
            Signals::from([(SignalName::observation("cost_usd"), Signal::Mean { n: 100.0, s1, s2: 0.0, cap: None })]);
        cost.standing(&[Slice { length: MINUTE, signals: &signals }])
    };
    assert!((spent(4.0).remaining - 0.6).abs() < 1e-9 && spent(4.0).status == Status::Healthy, "4 of 10 dollars");
    assert_eq!(spent(10.0).status, Status::Exhausted);

    let score = objective(slo("reward", "min", 0.5)).unwrap();
    let mean = |s1: f64| {
        let signals =
            Signals::from([(SignalName::observation("reward"), Signal::Mean { n: 100.0, s1, s2: 0.0, cap: None })]);
        score.standing(&[Slice { length: MINUTE, signals: &signals }])
    };
    assert_eq!((mean(60.0).remaining, mean(60.0).status), (1.0, Status::Healthy));
    assert_eq!((mean(-300.0).remaining, mean(-300.0).status), (0.0, Status::Exhausted), "far below");
}

#[test]
fn what_lies_in_the_cell_of_the_target_may_be_slower() {
    let p95 = objective(slo("p95_latency_ms", "max", 2000.0)).unwrap();
    let buckets = |counts: [f64; 4]| {
        let signal = Signal::Buckets { edges: vec![1000.0, 2500.0, 5000.0], counts: counts.to_vec() };
        let signals = Signals::from([(SignalName::latency(), signal)]);
        p95.standing(&[Slice { length: MINUTE, signals: &signals }]).status
    };
    assert_eq!(buckets([100.0, 0.0, 0.0, 0.0]), Status::Healthy);
    assert_eq!(buckets([0.0, 100.0, 0.0, 0.0]), Status::Exhausted, "2,400 ms each, as far as is known");
    let slow = objective(slo("p95_latency_ms", "max", 9000.0)).unwrap();
    let signal = Signal::Buckets { edges: vec![1000.0, 2500.0], counts: vec![0.0, 0.0, 100.0] };
    let signals = Signals::from([(SignalName::latency(), signal)]);
    assert_eq!(slow.standing(&[Slice { length: MINUTE, signals: &signals }]).status, Status::Exhausted);
}

#[test]
fn a_budget_that_burns_alerts_while_its_cause_lasts() {
    let objective = objective(slo("error_rate", "max", 0.01)).unwrap();
    let good = vec![(0.0, 100.0); 60];
    let bad = vec![(40.0, 100.0); 60];
    let fast = Alert { burn: 14.4, over: Span::from_secs(3600), and: Span::from_secs(300) };
    let burning = after(&objective, &[good.clone(), bad.clone()].concat());
    assert!(burning.alerts.contains(&fast), "{burning:?}");
    let over = after(&objective, &[bad.clone(), good[..30].to_vec()].concat());
    assert!(!over.alerts.contains(&fast), "{over:?}");
    assert_eq!(over.status, Status::Exhausted, "what was spent stays spent");
    assert!(after(&objective, &bad[..20]).alerts.is_empty(), "an hour has not been seen yet");
}

#[test]
fn what_is_no_objective_is_refused_at_its_field() {
    let both = Slo { max: Some(0.1), ..slo("error_rate", "min", 0.1) };
    let wide = Slo { window: Some(Span::from_secs(90_000)), ..slo("error_rate", "max", 0.1) };
    let all = Slo { budget: Some(1.5), ..slo("error_rate", "max", 0.1) };
    for (slo, place) in [
        (slo("Error", "max", 0.1), "slos[0].metric"),
        (slo("p95_latency_ms", "min", 0.1), "slos[0].min"),
        (slo("error_rate", "max", 0.0), "slos[0].max"),
        (slo("error_rate", "max", f64::NAN), "slos[0].max"),
        (slo("avg_cost_usd", "max", -1.0), "slos[0].max"),
        (both, "slos[0].max"),
        (wide, "slos[0].window"),
        (all, "slos[0].budget"),
        (Slo { budget: Some(0.5), ..slo("avg_cost_usd", "max", 1.0) }, "slos[0].budget"),
        (Slo { min: None, max: None, ..slo("error_rate", "max", 0.1) }, "slos[0].max"),
    ] {
        let refused = objective(slo.clone()).expect_err("refused");
        assert!(refused.starts_with(place), "{slo:?}: {refused}");
    }
    assert!(resolve(&[slo("error_rate", "max", 0.1)], &[], false).is_err(), "without checks nothing is counted");
}

proptest! {
    #[test]
    fn r24_a_budget_is_what_counting_one_event_after_the_other_leaves(
        minutes in proptest::collection::vec((0u32..50, 0u32..50), 0..100),
        budget in 0.01f64..0.9,
    ) {
        let objective = objective(Slo { budget: Some(budget), ..slo("error_rate", "max", 0.5) }).unwrap();
        let standing = after(&objective, &minutes.iter().map(|(bad, good)| (f64::from(*bad), f64::from(bad + good))).collect::<Vec<_>>());
        let mut left = None;
        let last_hour = minutes.len().saturating_sub(60);
        let events = minutes[last_hour..].iter().map(|(_, good)| good).sum::<u32>() + minutes[last_hour..].iter().map(|(bad, _)| bad).sum::<u32>();
        for (bad, _) in &minutes[last_hour..] {
            for _ in 0..*bad {
                left = Some(left.unwrap_or(1.0) - 1.0 / (f64::from(events) * budget));
            }
        }
        prop_assert!((standing.remaining - left.unwrap_or(1.0)).abs() < 1e-9);
        prop_assert_eq!(standing.status == Status::Unknown, events == 0);
        prop_assert_eq!(standing.status == Status::Exhausted, events > 0 && left.unwrap_or(1.0) <= 1e-9);
    }
}
