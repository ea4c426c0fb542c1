//! Checks that are fed by queries: what is refused when a policy is saved, and what a writer is told.

use super::{plan, policy, refusal};

const EXAMPLE: &str = include_str!("../../../../../policies/prometheus-example.yaml");

#[test]
fn templates_are_parsed_when_a_policy_is_saved_and_refused_at_their_place() {
    let text = r#"
steps: [{split: 5, dwell: 1m}, {split: 100}]
checks:
  - metric: error_rate
    query:
      bad: rate(requests_total{version="{version}",code=~"5.."}[1m])
      total: requests_total{version="{verison}"}
    rules: {gte: 0.05}
  - metric: wait_seconds
    query: {buckets: 'wait_seconds_bucket{version="{version}"}'}
    rules: {gte: 0.05}
  - metric: depth
    query: {value: 'sum(depth{version="{version}"}'}
    rules: {gte: 5}
  - metric: load
    query: {value: 'load{version="{version}"}'}
    rules: {gte: 5}
    method: sequential
  - metric: whole
    query: {bad: 'a{version="{version}"}', totl: 'b{}'}
    rules: {gte: 0.5}
  - metric: same
    query: {value: 'a{job="x"}'}
    rules: {max_relative_increase: 2}
  - {metric: words, query: 'up{}', rules: {gte: 1}}
"#;
    insta::assert_snapshot!(refusal(text), @r##"
    line 6, column 12: checks[0].query.bad: give the raw counter without rate(); increases are computed from samples
    line 7, column 14: checks[0].query.total: `{verison}` is no placeholder: there are {model}, {version}, {tenant}, {arm} and {step}
    line 10, column 12: checks[1].query: which quantile of the buckets? Name it in the metric, such as `p95_wait_seconds`
    line 13, column 20: checks[2].query.value: no PromQL: unclosed left parenthesis
    line 18, column 13: checks[3].method: gauge has no sample size, give numerator and denominator (`bad` or `good`, and `total`), or write `threshold`
    line 20, column 44: checks[4].query.totl: unknown field; did you mean `total`?
    line 23, column 12: checks[5].query: both arms would be asked the same, so nothing could be compared: write `{version}` or `{arm}`
    line 25, column 28: checks[6].query: `up{}` is no map of fields: write `bad: …`
    "##);
}

#[test]
fn one_name_has_one_query() {
    let text = r#"
steps: [{split: 5, dwell: 1m}, {split: 100}]
checks:
  - {metric: load, query: {value: 'a{version="{version}"}'}, rules: {gte: 5}}
  - {metric: load, query: {value: 'b{version="{version}"}'}, rules: {gte: 6}}
"#;
    insta::assert_snapshot!(refusal(text), @r##"
    line 5, column 14: checks[1].metric: another check of this name has another query: give one another name
    "##);
}

#[test]
fn the_example_compiles_says_what_can_go_wrong_and_shows_its_queries() {
    let notes: Vec<String> = plan(EXAMPLE).notes.into_iter().filter(|note| note.contains("query")).collect();
    insta::assert_snapshot!(notes.join("\n"), @r##"
    checks[0]: query.good: it selects a part, and where that matches nothing it counts as 0; a misspelt label would look like failures only, so try it in Prometheus once
    "##);
    let rows = policy(EXAMPLE).table().unwrap();
    let shown: Vec<String> = rows
        .iter()
        .filter(|row| row.what.contains(".query."))
        .map(|row| format!("{} {} {}", row.what, row.value, row.from))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r##"
    checks[0].query.good sentiment_api_requests_total{version="{version}", status!~"5.."} policy
    checks[0].query.total sentiment_api_requests_total{version="{version}"} policy
    checks[1].query.buckets sentiment_api_latency_ms_bucket{version="{version}"} policy
    checks[2].query.sum sentiment_api_latency_ms_sum{version="{version}"} policy
    checks[2].query.count sentiment_api_latency_ms_count{version="{version}"} policy
    checks[3].query.value avg(sentiment_prediction_confidence{version="{version}"}) policy
    "##);
}

#[test]
fn a_policy_with_queries_is_stored_as_it_was_written() {
    let stored = serde_json::to_string(&policy(EXAMPLE)).unwrap();
    assert_eq!(policy(&stored), policy(EXAMPLE));
}
