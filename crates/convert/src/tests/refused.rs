use super::{canary, imported, rollout};
use crate::{Document, Format, import};

/// Each text is refused with this sentence; after `JSON: ` the parser goes on in words of its own.
fn refused(format: Format, cases: &[(String, &str)]) {
    for (text, expected) in cases {
        let error = imported(format, &[text]).map(|made| made.text).unwrap_err().to_string();
        let is_said = error == *expected || (expected.ends_with("JSON: ") && error.starts_with(expected));
        assert!(is_said, "{text}\n{error}\n{expected}");
    }
}

#[test]
fn a_canary_that_is_wrong_is_refused_by_file_and_field_with_what_to_write() {
    let cases = [
        (String::new(), "there is no `kind: Canary` in it"),
        ("kind: [".to_owned(), "it.yaml: no YAML or JSON: "),
        ("a: &a 1\nb: *a".to_owned(), "it.yaml: no YAML or JSON: "),
        ("hello".to_owned(), "it.yaml: (whole): (hello) is no map of fields"),
        ("metadata: {name: x}".to_owned(), "it.yaml: kind: missing: write one such as `kind: Canary`"),
        ("kind: Canary".to_owned(), "it.yaml: metadata.name: missing: write one such as `name: vllm-agent`"),
        ("kind: Canary\nmetadata: {name: x}".to_owned(), "it.yaml: spec: missing: nothing is said"),
        (format!("{0}\n---\n{0}", canary("{}")), "it.yaml: (whole): Canary x is a second one: import one at a time"),
        (
            canary("{}"),
            "it.yaml: spec.analysis: neither weights nor iterations: write `stepWeight: 10`, or `stepWeights: [5, 25, 50]`",
        ),
        (
            canary("{stepWeight: -1}"),
            "it.yaml: spec.analysis.stepWeight: (-1) is no whole number of 0 or more: write one such as `10`",
        ),
        (
            canary("{stepWeights: [50, 5]}"),
            "it.yaml: spec.analysis.stepWeights: these do not grow from 1 to 100: write weights such as `[5, 25, 50]`",
        ),
        (
            canary("{stepWeights: [5, many]}"),
            "it.yaml: spec.analysis.stepWeights[1]: (many) is no whole number of 0 or more: write one such as `10`",
        ),
        (
            canary("{stepWeight: 10, interval: soon}"),
            "it.yaml: spec.analysis.interval: (soon) is no length of time: write one such as `60s` or `5m`",
        ),
        (
            canary("{iterations: 4000000000, interval: 10d}"),
            "it.yaml: spec.analysis.iterations: (4000000000) times 10days is more than ten years: write fewer",
        ),
        (canary("{stepWeight: 10, metrics: {}}"), "it.yaml: spec.analysis.metrics: (a map) is no list"),
        (
            canary("{stepWeight: 10, metrics: [{}]}"),
            "it.yaml: spec.analysis.metrics[0].name: missing: write one such as `name: request-success-rate`",
        ),
        (
            canary("{stepWeight: 10, metrics: [{name: a, thresholdRange: {least: 1}}]}"),
            "it.yaml: spec.analysis.metrics[0].thresholdRange.least: no part of a range: write `min`, `max`, or both",
        ),
        (
            canary("{stepWeight: 10, metrics: [{name: a, templateRef: {name: b}}]}"),
            "it.yaml: spec.analysis.metrics[0].templateRef: MetricTemplate default/b is in none of the files: name its file as well",
        ),
    ];
    refused(Format::Flagger, &cases);
}

#[test]
fn a_rollout_that_is_wrong_is_refused_by_file_and_field_with_what_to_write() {
    let run = "{analysis: {templates: [{templateName: t}]}, steps: [{setWeight: 10}]}";
    let cases = [
        (
            "kind: Rollout\nmetadata: {name: x}\nspec: {strategy: {blueGreen: {}}}".to_owned(),
            "it.yaml: spec.strategy.blueGreen: switches everybody at once, and is judged before anybody asks; here traffic moves in steps, and what users ask is judged: write `canary` with `steps`",
        ),
        (
            "kind: Rollout\nmetadata: {name: x}\nspec: {}".to_owned(),
            "it.yaml: spec.strategy: missing: write `strategy: {canary: {steps: [{setWeight: 10}, {pause: {duration: 10m}}]}}`",
        ),
        (
            rollout("{steps: [{setWeight: 101}]}", "[]"),
            "it.yaml: spec.strategy.canary.steps[0].setWeight: 101 is not a share: write percent from 0 to 100, at most two decimals",
        ),
        (
            rollout("{steps: [{pause: {duration: soon}}]}", "[]"),
            "it.yaml: spec.strategy.canary.steps[0].pause.duration: (soon) is no length of time: write one such as `60s` or `5m`",
        ),
        (
            rollout("{analysis: {templates: [{templateName: u}]}}", "[]"),
            "it.yaml: spec.strategy.canary.analysis.templates[0]: AnalysisTemplate u is in none of the files: name its file as well",
        ),
        (
            rollout(run, "[{name: a}]"),
            "it.yaml: AnalysisTemplate t spec.metrics[0].provider: missing: write `prometheus: {query: …}`",
        ),
        (
            rollout(run, "[{name: a, failureLimit: few}]"),
            "it.yaml: AnalysisTemplate t spec.metrics[0].failureLimit: (few) is no whole number: write one such as `3`",
        ),
        (
            rollout(run, "[{name: a, failureLimit: '{{args.n}}'}]"),
            "it.yaml: AnalysisTemplate t spec.metrics[0].failureLimit: `{{args.n}}` has no value: write one into `args`",
        ),
    ];
    refused(Format::Argo, &cases);
}

#[test]
fn a_dict_of_agent_sre_that_is_wrong_is_refused_by_file_and_field_with_what_to_write() {
    let cases = [
        (String::new(), "nothing to import: give the JSON of a rollout's `to_dict()`, or a list of its steps"),
        ("[]\n---\n[]".to_owned(), "it.yaml: (whole): a second rollout: import one at a time"),
        (
            r#"[{"weight": 1.5}]"#.to_owned(),
            "it.yaml: steps[0].weight: 1.5 is not a weight: write a fraction from 0 to 1, at most four decimals",
        ),
        (
            r#"[{"weight": 0.5}, {"weight": 0.25}, {"weight": 1}]"#.to_owned(),
            "it.yaml: steps[1].weight: 25 % is less than the 50 % before it: a share never falls from step to step",
        ),
        (r#"[{"weight": "all"}]"#.to_owned(), "it.yaml: steps[0].weight: (all) is no number: write one such as `99`"),
        (
            r#"{"rollback_conditions": [{"metric": "error_rate"}]}"#.to_owned(),
            "it.yaml: rollback_conditions[0].threshold: missing: write one such as 0.10",
        ),
    ];
    refused(Format::AgentSre, &cases);
}

#[test]
fn what_no_policy_can_say_is_refused_with_what_to_write() {
    let error = imported(Format::AgentSre, &[r#"{"steps": [{"weight": 0.5, "duration_seconds": 0}, {"weight": 1}], "rollback_conditions": [{"metric": "error_rate", "threshold": 0.1}]}"#]).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("steps[0].dwell: 0 leaves no time to judge: write a dwell such as 5m"), "{source}");
}

#[test]
fn a_text_that_is_too_large_or_too_deep_is_refused() {
    let large = "#".repeat(2 * 1024 * 1024);
    let deep = "[".repeat(10_000);
    let many = format!("a: [{}]", "1,".repeat(60_000));
    for text in [large, deep, many] {
        let documents = [Document { name: "bomb.yaml", text: &text }];
        let error = import(Format::Flagger, &documents).unwrap_err().to_string();
        assert!(error.starts_with("bomb.yaml: no YAML or JSON: ") && error.len() < 300, "{error}");
    }
}
