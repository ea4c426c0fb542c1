//! The reference numbers of the sequential method: all of them where the design's files lie beside the project, else those that are
//! kept here.

use std::path::Path;

use serde_json::Value;

mod bad_input;
mod drift;
mod engine;
mod fair;
mod found;
mod parts;

/// Relative distance to a reference number; of the long traces, where rounding adds up.
const NEAR: f64 = 1e-9;
const NEAR_IN_TRACES: f64 = 1e-6;

struct Vector {
    id: String,
    given: Value,
    expected: Value,
}

fn vectors(category: &str) -> Vec<Vector> {
    let design = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/judge/vectors.json");
    let text =
        std::fs::read_to_string(design).unwrap_or_else(|_| include_str!("../../vectors/sequential.json").to_owned());
    let all: Value = serde_json::from_str(&text).unwrap();
    let list = all["categories"][category].as_array().unwrap_or_else(|| panic!("no {category}"));
    assert!(!list.is_empty(), "{category}");
    list.iter()
        .map(|v| Vector {
            id: v["id"].as_str().unwrap().to_owned(),
            given: v["in"].clone(),
            expected: v["out"].clone(),
        })
        .collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap_or_else(|| panic!("{value} is no number")).parse().unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map(|list| list.iter().map(number).collect()).unwrap_or_default()
}

fn near(found: f64, expected: &Value, distance: f64, what: &str) {
    let expected = number(expected);
    let is_near = found == expected || (found - expected).abs() <= distance * expected.abs().max(1.0);
    assert!(is_near, "{what}: {found:?}, not {expected:?}");
}

fn all_near(found: &[f64], expected: &Value, what: &str) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        near(*found, expected, NEAR, &format!("{what} [{at}]"));
    }
}
