use super::{Metric, SignalName};

#[test]
fn a_name_says_its_signal_and_kind() {
    let proportion = |signal, complement| Metric::Proportion { signal, complement };
    let mean = |name, is_average| Metric::Mean { signal: SignalName::observation(name), is_average };
    for (name, expected) in [
        ("error_rate", proportion(SignalName::error(), false)),
        ("request_success_rate", proportion(SignalName::error(), true)),
        ("hallucination_rate", proportion(SignalName::observation("hallucination"), false)),
        ("p95_latency_ms", Metric::Quantile { signal: SignalName::latency(), percent: 95 }),
        ("p50_ttft_ms", Metric::Quantile { signal: SignalName::ttft(), percent: 50 }),
        ("avg_cost_usd", mean("cost_usd", true)),
        ("cost_usd", mean("cost_usd", false)),
        ("avg_", mean("avg_", false)),
        ("pad_latency_ms", mean("pad_latency_ms", false)),
    ] {
        assert_eq!(Metric::parse(name), Ok(expected), "{name}");
    }
}

#[test]
fn a_bad_name_is_refused_with_a_sentence() {
    for name in ["", "Error", "5xx", "a b", "é", &"a".repeat(64)] {
        assert!(Metric::parse(name).unwrap_err().starts_with("bad metric name `"), "{name}");
    }
    for name in ["p49_latency_ms", "p100_latency_ms", "p999_ttft_ms", "p9x_latency_ms"] {
        assert!(Metric::parse(name).unwrap_err().contains("write p50_"), "{name}");
    }
}
