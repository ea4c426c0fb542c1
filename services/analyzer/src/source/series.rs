//! A series of Prometheus as the judge takes it: which target it was scraped from, what tells it from its siblings, its samples.

use std::collections::HashMap;

use judge::Scraped;
use judge::query::Part;
use judge::series::Sample;
use prometheus_http_query::response::RangeVector;

/// Between job and instance in the name of a target; no job has it.
const BETWEEN: char = '\n';

pub(super) fn scraped(part: Part, found: RangeVector) -> Scraped {
    let (labels, samples) = found.into_inner();
    let samples = samples
        .iter()
        .map(|sample| Sample { at_ms: milliseconds(sample.timestamp()), value: sample.value() })
        .collect();
    let edge = labels.get("le").and_then(|edge| edge.parse().ok()).unwrap_or(f64::NAN);
    Scraped { target: target(&labels), labels: siblings(&labels), part, edge, samples }
}

/// The target: what one scrape reads.
pub(super) fn target(labels: &HashMap<String, String>) -> String {
    let label = |name| labels.get(name).map_or("", String::as_str);
    format!("{}{BETWEEN}{}", label("job"), label("instance"))
}

/// The instance of a target, if it has one.
pub(super) fn instance(target: &str) -> Option<String> {
    target.split_once(BETWEEN).map(|(_, instance)| instance.to_owned()).filter(|instance| !instance.is_empty())
}

/// Seconds as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and no scrape is that far away")]
pub(super) fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// The labels that tell a series from others of its target.
fn siblings(labels: &HashMap<String, String>) -> String {
    let mut pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "job" | "instance"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}
