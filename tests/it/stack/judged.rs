//! Policies that the stack judges by: from what routers count, and from Prometheus alone.

use serde_json::{Value, json};

/// By what the routers count.
pub(super) fn quick() -> Value {
    json!({"name": "quick", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 25, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.2}, "min_samples": 20, "interval": "5s", "window": "step"}]})
}

/// One that stays where it is, for somebody to look at.
pub(super) fn slow() -> Value {
    json!({"name": "slow", "tick": "5s", "warmup": "0s", "inconclusive_budget": "10m",
        "steps": [{"split": 50, "dwell": "30m"}, {"split": 100, "dwell": "0s"}], "checks": quick()["checks"]})
}

/// From Prometheus alone (R4, R5): its mean is fine where its p95 is not.
pub(super) fn from_prometheus() -> Value {
    let of =
        |series: &str, more: &str| format!("sentiment_api_{series}{{name=\"reranker\",version=\"{{version}}\"{more}}}");
    let good = json!({"good": of("requests_total", ",status!~\"5..\""), "total": of("requests_total", "")});
    let buckets = json!({"buckets": of("latency_ms_bucket", "")});
    let mean = json!({"sum": of("latency_ms_sum", ""), "count": of("latency_ms_count", "")});
    let mut checks = [
        json!({"metric": "request_success_rate", "query": good, "rules": {"min_absolute": "0.99"}, "min_samples": 100}),
        json!({"metric": "p95_ms", "query": buckets, "rules": {"gt": 200}, "min_samples": 100}),
        json!({"metric": "mean_ms", "query": mean, "rules": {"gt": 200}}),
    ];
    for check in &mut checks {
        check["interval"] = json!("5s");
        check["window"] = json!("step");
    }
    json!({"name": "from-prometheus", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}], "checks": checks})
}
