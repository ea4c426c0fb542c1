//! The reference numbers of `vectors/threshold.json`. `"inf"` and `"NaN"` stand for what JSON cannot say.

use serde_json::{Value, json};

use crate::check::{Comparator, FailureMode, RuleName, Window};
use crate::decision::{Clock, Stance, Standing, decide};
use crate::fold::failures;
use crate::resolve::fewest_samples;
use crate::series::{Bounds, Notes, Sample as Reading, Series};
use crate::threshold::{Sample, evaluate};
use crate::window::measure;
use crate::{
    Arm, CheckResult, Comparison, Metric, Outcome, Resolved, ResolvedRule, SignalName, Span, Tick, quantile, render,
};

fn vectors(category: &str) -> Vec<(String, Value, Value)> {
    let all: Value = serde_json::from_str(include_str!("../../vectors/threshold.json")).unwrap();
    let list = all[category].as_array().unwrap().clone();
    assert!(!list.is_empty(), "{category}");
    list.into_iter().map(|v| (v["id"].as_str().unwrap().to_owned(), v["in"].clone(), v["out"].clone())).collect()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.parse().unwrap()),
        number => Some(number.as_f64().unwrap()),
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= 1e-9 * b.abs().max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn word<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn word_or_default<T: serde::de::DeserializeOwned + Default>(value: &Value) -> T {
    if value.is_null() { T::default() } else { word(value) }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| number(x).unwrap()).collect()
}

#[test]
fn quantiles_agree_with_the_reference() {
    for (id, given, expected) in vectors("quantile") {
        let found = quantile(&list(&given["edges"]), &list(&given["counts"]), given["q"].as_f64().unwrap());
        assert_eq!(found.is_none(), expected.is_null(), "{id}");
        let Some(found) = found else { continue };
        for (name, value) in
            [("value", found.value), ("lower", found.lower), ("upper", found.upper), ("error", found.error)]
        {
            assert!(same(Some(value), number(&expected[name])), "{id} {name} {value}");
        }
    }
}

#[test]
fn counter_samples_agree_with_the_reference() {
    for (id, given, expected) in vectors("counter_samples") {
        let (mut series, mut notes) = (Series::default(), Notes::default());
        let bounds =
            Bounds { start_ms: given["start"].as_i64().unwrap(), max_gap_ms: given["max_gap"].as_i64().unwrap() };
        for (at, sample) in given["samples"].as_array().unwrap().iter().enumerate() {
            let reading =
                Reading { at_ms: sample["ts"].as_i64().unwrap(), value: number(&sample["value"]).unwrap_or(f64::NAN) };
            let found = series.advance(reading, sample["first_round"].as_bool().unwrap(), bounds, &mut notes);
            assert!(same(found, number(&expected[at])), "{id} sample {at}: {found:?}");
        }
    }
}

fn rule_of(given: &Value) -> ResolvedRule {
    let name: RuleName = match given["kind"].as_str().unwrap() {
        "absolute" => word(&given["cmp"]),
        kind => word(&json!(format!("max_{kind}"))),
    };
    let limit = given["limit"].as_f64().unwrap();
    let text = given["text"].as_str().map_or_else(|| format!("{limit:?}"), str::to_owned);
    ResolvedRule {
        name,
        comparator: name.comparator(),
        limit,
        limit_text: text,
        floor: number(&given["floor"]),
        failure_limit: 1,
        failure_mode: FailureMode::Consecutive,
        failure_group: None,
        counter: 0,
    }
}

fn sample_of(given: &Value) -> Option<Sample> {
    (!given.is_null()).then(|| Sample { value: number(&given["value"]).unwrap(), n: number(&given["n"]) })
}

/// The whole record of a rule in its round, from which the issue is written.
fn record(metric: &str, rule: &ResolvedRule, samples: [Option<Sample>; 2], result: Outcome) -> (Resolved, CheckResult) {
    let check = super::check(metric, "gt", "0.5");
    let mut resolved = crate::resolve(&[check], &crate::Settings::default(), &[super::step(300)]).unwrap();
    resolved.checks[0].rules = vec![rule.clone()];
    let (_, verdict) = crate::judge(&resolved, crate::State::default(), &[]);
    let mut entry = verdict.checks[0].clone();
    let value = |sample: Option<Sample>| sample.map(|sample| sample.value);
    (entry.value, entry.stable_value) = (value(samples[0]), value(samples[1]));
    (entry.result, entry.breached) = (result, result == Outcome::Breach);
    entry.comparison = if rule.comparator.is_relative() { Comparison::Concurrent } else { Comparison::None };
    (resolved, entry)
}

#[test]
fn threshold_rules_agree_with_the_reference_to_the_letter() {
    for (id, given, expected) in vectors("threshold_rule") {
        let rule = rule_of(&given["rule"]);
        let q = number(&given["rule"]["q"]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.95 and the like")]
        let percent = q.map(|q| (q * 100.0).round() as u8);
        let fewest =
            percent.map_or(0, |percent| fewest_samples(&Metric::Quantile { signal: SignalName::latency(), percent }));
        let min_samples = given["rule"]["min_samples"].as_u64().unwrap_or(50).max(fewest);
        let samples = [sample_of(&given["canary"]), sample_of(&given["stable"])];
        let (result, reason) = evaluate(&rule, min_samples, samples[0], samples[1]);
        assert_eq!(json!(result), expected["result"], "{id}");
        assert_eq!(json!(reason), expected["reason"], "{id}");
        let metric = given["rule"]["metric"].as_str().unwrap();
        let (resolved, entry) = record(metric, &rule, samples, result);
        let (_, mut verdict) = crate::judge(&resolved, crate::State::default(), &[]);
        verdict.checks = vec![entry];
        assert_eq!(json!(render(&resolved, &verdict).first()), expected["issue"], "{id}");
    }
}

#[test]
fn failure_counters_agree_with_the_reference() {
    for (id, given, expected) in vectors("failure_limit") {
        let (limit, mode) = (given["limit"].as_u64().unwrap(), word::<FailureMode>(&given["mode"]));
        let mut count = 0;
        for (at, round) in given["rounds"].as_array().unwrap().iter().enumerate() {
            if round == "step_entry" {
                count = failures::enter_step(count, mode);
                continue;
            }
            count = failures::advance(count, mode, &word::<Vec<Outcome>>(round));
            let found = json!({"count": count, "reached": u64::from(count) >= limit});
            assert_eq!(found, expected[at], "{id} round {at}");
        }
    }
}

#[test]
fn threshold_results_agree_with_the_reference() {
    for (id, given, expected) in vectors("threshold_result") {
        let found = failures::result((word(&given["result"]), None), word(&given["count"]), word(&given["limit"]));
        assert_eq!(json!(found), expected, "{id}");
    }
}

#[test]
fn decisions_agree_with_the_reference() {
    for (id, given, expected) in vectors("decision") {
        let checks: Vec<Standing> = given["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| Standing { result: word(&check["result"]), action: word(&check["action"]) })
            .collect();
        let clock = Clock {
            elapsed_ms: word(&given["elapsed"]),
            held_ms: word_or_default(&given["held"]),
            dwell_ms: word(&given["dwell"]),
            budget_ms: word(&given["budget"]),
            min_dwell_ms: word_or_default(&given["min_dwell"]),
        };
        let stance = Stance {
            on_degraded: word_or_default(&given["on_degraded"]),
            on_inconclusive: word_or_default(&given["on_inconclusive"]),
        };
        let found = decide(&checks, clock, stance);
        assert_eq!(json!({"result": found.result, "action": found.action}), expected, "{id}");
    }
}

#[test]
fn windows_agree_with_the_reference() {
    let metric = Metric::parse("error_rate").unwrap();
    for (id, given, expected) in vectors("threshold_window") {
        let ticks: Vec<Tick> = (1..)
            .zip(given["ticks"].as_array().unwrap())
            .map(|(tick, t)| {
                let count = |k: &str, n: &str| {
                    super::count(SignalName::error(), t[k].as_f64().unwrap(), t[n].as_f64().unwrap())
                };
                Tick {
                    step: word(&t["step"]),
                    warmup: t["warmup"].as_bool().unwrap_or(false),
                    ..super::tick(tick, t["elapsed"].as_i64().unwrap(), count("kc", "nc"), count("ks", "ns"))
                }
            })
            .collect();
        let window = given["window"].as_u64().map_or(Window::Step, |seconds| Window::Last(Span::from_secs(seconds)));
        let (newest, tail) = ticks.split_last().unwrap();
        for (arm, at) in [(Arm::Candidate, 0), (Arm::Stable, 1)] {
            let found = measure(&metric, window, arm, (tail, newest));
            assert_eq!(found.is_none(), expected[at].is_null(), "{id} {arm:?}");
            let Some(found) = found else { continue };
            assert!(same(found.value, number(&expected[at]["value"])), "{id} {arm:?} {found:?}");
            assert!(same(found.n, number(&expected[at]["n"])), "{id} {arm:?} {found:?}");
        }
    }
}

#[test]
fn every_comparator_has_a_name_that_a_policy_may_write() {
    for name in ["gt", "gte", "lt", "lte", "max_absolute", "min_absolute"] {
        let name: RuleName = word(&json!(name));
        assert!(!name.comparator().is_relative());
    }
    assert_eq!(word::<RuleName>(&json!("max_relative_decrease")).comparator(), Comparator::RelativeDecrease);
}
