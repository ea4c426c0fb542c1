//! Whatever is sent: an answer, never a panic. And what is accepted compiles, and reads back as it was.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::policy::Policy;

/// Words of policies, so that what is tried comes near to one.
const WORDS: &[&str] = &[
    "name",
    "strategy",
    "steps",
    "checks",
    "split",
    "weight",
    "dwell",
    "gate",
    "expires",
    "rules",
    "metric",
    "gte",
    "floor",
    "window",
    "step",
    "lease",
    "off",
    "activate",
    "canary",
    "error_rate",
    "p95_latency_ms",
    "30s",
    "5%",
    "smoke",
    "body",
    "path",
    "tick",
    "analysis",
    "min_samples",
    "method",
    "duration_seconds",
    "__serde_saphyr_private_spanned",
    "value",
    "<<",
];

fn words() -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..101_u32).prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(words(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn answer(text: &str) {
    match Policy::from_yaml(text) {
        Ok(policy) => {
            policy.plan().expect("what is accepted compiles");
            policy.table().expect("what compiles can be shown");
            let stored = serde_json::to_string(&policy).unwrap();
            assert_eq!(Policy::from_yaml(&stored).expect("what was accepted is accepted again"), policy);
        }
        Err(error) => assert!(!error.problems.is_empty() && !error.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        answer(&text);
    }

    #[test]
    fn any_lines_are_answered(text in "([ ]{0,4}(- )?[a-z_<&*!]{0,8}:? ?[0-9a-z\"'\\[\\]{},%.&*!|>-]{0,8}\n){0,12}") {
        answer(&text);
    }

    #[test]
    fn any_json_is_answered(value in json_values()) {
        answer(&value.to_string());
        let _ = serde_json::from_value::<Policy>(value);
    }

    #[test]
    fn any_fields_of_a_policy_are_answered(step in json_values(), check in json_values(), rest in json_values()) {
        answer(&json!({"steps": [step, {"split": 100}], "checks": [check], "smoke": rest, "alpha": 0.01}).to_string());
    }

    #[test]
    fn growing_shares_make_a_plan(mut points in proptest::collection::vec(1..10_000_u32, 0..20), seconds in 1..100_000_u32) {
        points.sort_unstable();
        let mut steps: Vec<Value> = points.iter().map(|points| json!({"split": f64::from(*points) / 100.0, "dwell": seconds})).collect();
        steps.push(json!({"weight": 1.0}));
        let text = json!({"steps": steps}).to_string();
        let policy = Policy::from_yaml(&text).unwrap_or_else(|error| panic!("{error}"));
        let shares: Vec<u32> = policy.plan().unwrap().steps.iter().map(|step| step.split.candidates().basis_points()).collect();
        prop_assert_eq!(&shares[..points.len()], &points[..]);
        answer(&text);
    }
}
