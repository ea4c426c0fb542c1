use serde_json::{Value, json};

use super::resolve;
use crate::check::{Action, Check, FailureMode, Method, Window};
use crate::tests::{deep_check, step};
use crate::{Baseline, OnDegraded, OnInconclusive, Problem, Resolved, Settings, Span, StepShape};

fn one(check: Value) -> Result<Resolved, Vec<Problem>> {
    resolve(&[deep_check(check)], &Settings::default(), &[step(1800)])
}

fn paths(problems: Result<Resolved, Vec<Problem>>) -> Vec<String> {
    problems.unwrap_err().into_iter().map(|problem| problem.path).collect()
}

#[test]
fn every_number_is_filled_in() {
    let rules = json!({"max_absolute": 0.05, "max_relative_increase": 2.0});
    let steps = [step(300), step(3600), StepShape { dwell: Span(0), share: 1.0 }];
    let resolved =
        resolve(&[deep_check(json!({"metric": "error_rate", "rules": rules}))], &Settings::default(), &steps).unwrap();
    let check = &resolved.checks[0];
    assert_eq!((check.method, check.action, check.min_samples), (Method::Sequential, Action::Rollback, 50));
    assert_eq!((check.interval, check.window), (Span::from_secs(60), Window::Last(Span::from_secs(300))));
    assert_eq!((check.max_blind, check.baseline), (Span::from_secs(120), Baseline::None));
    let failures: Vec<_> =
        check.rules.iter().map(|rule| (rule.failure_limit, rule.failure_mode, rule.counter)).collect();
    assert_eq!(failures, [(1, FailureMode::Consecutive, 0), (3, FailureMode::Consecutive, 1)]);
    assert_eq!((resolved.tick, resolved.alpha, resolved.beta), (Span::from_secs(15), 0.01, 0.05));
    assert_eq!(resolved.on_inconclusive, OnInconclusive::Rollback);
    assert_eq!((resolved.on_degraded, resolved.retries_per_day), (OnDegraded::Continue, 3));
    let steps: Vec<_> = resolved.steps.iter().map(|step| (step.warmup.0, step.budget.0, step.judged)).collect();
    assert_eq!(steps, [(30_000, 600_000, true), (180_000, 7_200_000, true), (0, 0, false)]);
    assert!(
        matches!(resolved.notes.as_slice(), [note] if note.starts_with("checks[0]: phi: 2 (")),
        "{:?}",
        resolved.notes
    );
}

#[test]
fn all_problems_are_found_at_once_and_name_their_fields() {
    let bad = [
        json!({"metric": "error_rate", "rules": {"max_relative_increase": 0.5}, "method": "sequential"}),
        json!({"metric": "error_rate", "rules": [{"gt": 0.5}, {"max_relative_decrease": 1}], "failure_limit": 0}),
        json!({"metric": "Bad", "rules": {"gt": "NaN"}, "interval": 0, "window": 0, "phi": 0.5, "sensitivity": 2}),
        json!({"metric": "p95_latency_ms", "rules": [{"gt": 0.05}, {"gt": 600_001}, {}], "lo": 2, "hi": 1}),
        json!({"metric": "cost_usd", "rules": [{"gt": "inf"}, {"floor": -1, "lt": 1, "weight": 0}]}),
    ];
    let checks: Vec<Check> = bad.into_iter().map(deep_check).collect();
    let settings = Settings {
        alpha: Some(0.6),
        beta: Some(f64::NAN),
        tick: Some(Span::from_secs(1)),
        min_dwell: Some(Span::from_secs(301)),
        warmup: Some(Span::from_secs(300)),
        ..Settings::default()
    };
    let expected = [
        "tick",
        "alpha",
        "beta",
        "warmup",
        "min_dwell",
        "steps[1].dwell",
        "checks[0].rules.max_relative_increase",
        "checks[1].failure_limit",
        "checks[1].rules[1].max_relative_decrease",
        "checks[2].metric",
        "checks[2].sensitivity",
        "checks[2].phi",
        "checks[2].rules.gt",
        "checks[2].interval",
        "checks[2].window",
        "checks[3].hi",
        "checks[3].rules[0].gt",
        "checks[3].rules[1].gt",
        "checks[3].rules[2]",
        "checks[4].rules[0].gt",
        "checks[4].rules[1].floor",
        "checks[4].rules[1].weight",
    ];
    assert_eq!(paths(resolve(&checks, &settings, &[step(300), step(0)])), expected);
}

/// A sequential check of events by the second.
fn rate(rules: &Value) -> Value {
    let query = json!({"events": "restarts_total{version=\"{version}\"}"});
    json!({"metric": "restarts", "query": query, "rules": rules, "method": "sequential"})
}

#[test]
fn a_refusal_says_what_to_write() {
    for (check, message) in [
        (
            json!({"metric": "x", "rules": {"max_relative_increase": 0.5}}),
            "0.5 is a factor of 1 or less: write 1.5 for +50 %",
        ),
        (
            json!({"metric": "x", "rules": {"max_relative_decrease": "1.10"}}),
            "1.10 is outside 0 to 1: write 0.1 for -10 %",
        ),
        (json!({"metric": "error_rate", "rules": {"gt": 5}}), "5 is no share: write 0.05 for 5 %"),
        (
            json!({"metric": "p99_latency_ms", "rules": {"gt": 700_000}}),
            "700000 is outside the histogram, 0.1 to 600000 milliseconds",
        ),
        (json!({"metric": "x", "rules": []}), "no limit: write one such as [{gte: 0.10}]"),
        (
            json!({"metric": "x", "rules": {"gt": 1}, "method": "sequential", "lo": -1}),
            "the sequential method needs the largest value that can be: write it, such as hi: 1, or `method: threshold`",
        ),
        (
            json!({"metric": "error_rate", "rules": {"gt": 0}, "method": "sequential"}),
            "0 can't be told from chance, as 0.0001 or 0.9999 can: write `method: threshold`",
        ),
        (
            json!({"metric": "p95_latency_ms", "rules": {"lt": 10}, "method": "sequential"}),
            "the sequential one guards a quantile against increases only: write `method: threshold`",
        ),
        (rate(&json!({"gt": 0})), "0 can't be told from chance, as 0.0001 can: write `method: threshold`"),
        (rate(&json!({"lt": 1})), "the sequential one guards a rate against increases only: write `method: threshold`"),
        (rate(&json!({"gt": -1})), "-1 is no number of events in a second: write one such as 0.01"),
        (
            json!({"metric": "error_rate", "rules": {"gt": 0.1}, "method": "sequential", "failure_limit": 3}),
            "for the threshold method only: remove it, or write `method: threshold`",
        ),
    ] {
        assert_eq!(one(check).unwrap_err()[0].message, message);
    }
}

#[test]
fn duplicates_are_refused_and_different_limits_on_one_metric_are_not() {
    let check = |limit: &str, window: u32| {
        deep_check(json!({"metric": "error_rate", "rules": [{"gt": limit}], "window": window}))
    };
    let both = |a, b| resolve(&[a, b], &Settings::default(), &[step(1800)]);
    assert_eq!(paths(both(check("0.1", 60), check("0.10", 300))), ["checks[1]"]);
    assert!(both(check("0.1", 60), check("0.2", 300)).is_ok());
    let twice = one(json!({"metric": "error_rate", "rules": {"gt": 0.1, "max_absolute": 0.1}}));
    assert_eq!(paths(twice), ["checks[0].rules.max_absolute"]);
}

#[test]
fn a_check_that_names_no_method_is_sequential_wherever_that_can_be() {
    let method = |check| one(check).unwrap();
    for (check, why) in [
        (json!({"metric": "error_rate", "rules": {"gt": 0.1}, "window": "step"}), "`window` is of that method"),
        (
            json!({"metric": "score", "rules": {"gt": 1}, "lo": -1}),
            "the sequential one needs `hi`, the largest value that can be",
        ),
        (json!({"metric": "error_rate", "rules": {"gt": 0}}), "0 can't be told from chance, as 0.0001 or 0.9999 can"),
        (
            json!({"metric": "x", "query": {"value": "up{version=\"{version}\"}"}, "rules": {"gt": 1}}),
            "one number has no sample size",
        ),
    ] {
        let resolved = method(check);
        assert_eq!(resolved.checks[0].method, Method::Threshold);
        assert!(resolved.notes.contains(&format!("checks[0]: method: threshold ({why})")), "{:?}", resolved.notes);
    }
    assert_eq!(method(json!({"metric": "score", "rules": {"gt": 0.9}, "hi": 1})).checks[0].method, Method::Sequential);
}

#[test]
fn gates_share_alpha_by_their_weights_and_tolerate_part_of_their_limit() {
    let rules = json!({"max_absolute": 0.05, "max_relative_increase": 2.0});
    let checks = [
        json!({"metric": "error_rate", "rules": rules}),
        json!({"metric": "p99_latency_ms", "rules": {"max_relative_increase": 1.5}}),
        json!({"metric": "task_success_rate", "rules": {"min_absolute": "0.90", "max_relative_decrease": 0.1}}),
        json!({"metric": "quality_score", "rules": {"max_relative_decrease": 0.05}, "hi": 1}),
        json!({"metric": "toxic_rate", "rules": {"gt": 0.1}, "action": "report"}),
        json!({"metric": "avg_cost_usd", "rules": {"max_relative_increase": 1.2}, "hi": 5, "max_blind": "1m"}),
        rate(&json!({"max_absolute": 0.01, "max_relative_increase": 3})),
    ]
    .map(deep_check);
    let resolved = resolve(&checks, &Settings::default(), &[step(1800)]).unwrap();
    let plan = &resolved.sequential;
    let told: Vec<String> = plan
        .gates
        .iter()
        .map(|gate| {
            let channel = &plan.channels[gate.channel];
            let near = |x: f64| (x * 1e6).round() / 1e6;
            format!(
                "{} {:?} {:?} limit {} tolerance {:?} floor {:?} weight {} phi {:?} attributed {} blind {}",
                channel.signal,
                channel.view,
                gate.test,
                near(gate.limit),
                gate.tolerance.map(near),
                gate.floor,
                near(gate.weight * 102.0),
                gate.phi,
                gate.attributed,
                gate.max_blind_ticks
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_quantile_needs_one_sample_beyond_it() {
    let resolved = one(json!({"metric": "p99_latency_ms", "rules": {"gt": 5}, "min_samples": 10})).unwrap();
    assert_eq!(resolved.checks[0].min_samples, 100);
    assert!(resolved.notes.iter().any(|note| note.contains("min_samples: 100")));
}

#[test]
fn a_group_has_one_counter_and_must_not_contradict_itself() {
    let check = |metric: &str, limit: u32| {
        deep_check(json!({"metric": metric, "rules": {"gt": 0.1}, "failure_group": "g", "failure_limit": limit}))
    };
    let unstated = deep_check(json!({"metric": "c_rate", "rules": {"max_relative_increase": 2}, "failure_group": "g"}));
    let settings = Settings::default();
    let resolved = resolve(&[check("a_rate", 5), unstated, check("b_rate", 5)], &settings, &[step(1800)]).unwrap();
    let rules: Vec<_> = resolved.rules().map(|(_, _, rule)| (rule.counter, rule.failure_limit)).collect();
    assert_eq!((rules, resolved.counters.len()), (vec![(0, 5); 3], 1));
    let clash = resolve(&[check("a_rate", 5), check("b_rate", 6)], &settings, &[step(1800)]);
    assert_eq!(paths(clash), ["checks[1].failure_limit"]);
}

#[test]
fn fields_without_effect_are_noted() {
    let rules = json!({"gt": 0.1, "twin": true, "weight": 2, "attribution": "none", "floor": 0.1});
    let check =
        json!({"metric": "error_rate", "rules": rules, "sensitivity": 0.3, "phi": 2, "hi": 1, "method": "threshold"});
    let notes = one(check).unwrap().notes.join("\n");
    for name in ["twin", "weight", "attribution", "floor", "sensitivity", "phi", "lo and hi"] {
        assert!(notes.contains(&format!("{name}: without effect")), "{name} in {notes}");
    }
}

#[test]
fn a_plan_without_checks_may_have_steps_of_no_length() {
    let resolved = resolve(&[], &Settings::default(), &[step(0), step(60)]).unwrap();
    assert!(resolved.steps.iter().all(|step| !step.judged));
    assert_eq!((resolved.longest_window(), resolved.largest_latency_limit_ms()), (None, None));
}

#[test]
fn the_largest_limits_of_whole_answers_and_of_first_bytes_are_two() {
    let checks = [
        json!({"metric": "p95_latency_ms", "rules": [{"gt": 1500.5}, {"lt": 9000}, {"max_relative_increase": 1.2}]}),
        json!({"metric": "p95_ttft_ms", "rules": {"gt": 8000}}),
    ]
    .map(deep_check);
    let resolved = resolve(&checks, &Settings::default(), &[step(1800)]).unwrap();
    assert_eq!((resolved.largest_latency_limit_ms(), resolved.largest_ttft_limit_ms()), (Some(1501), Some(8000)));
}
