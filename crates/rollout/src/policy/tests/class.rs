use super::{plan, policy, preset, refusal};
use crate::policy::Policy;

/// The metrics, limits and steps of a plan, a line each.
fn limits(plan: &crate::plan::Plan) -> Vec<String> {
    let steps = plan.steps.iter().map(|step| format!("{} {}", step.split.candidates(), step.dwell));
    let checks = plan.checks.iter().flat_map(|resolved| &resolved.checks).map(|check| {
        let rules = check.rules.iter().map(|rule| format!("{} {}", rule.name.as_str(), rule.limit_text));
        format!("{} {}", check.metric, rules.collect::<Vec<_>>().join(", "))
    });
    steps.chain(checks).collect()
}

#[test]
fn a_class_of_models_has_its_own_limits_pace_and_metrics() {
    insta::assert_snapshot!(limits(&plan("class: llm-large\n")).join("\n"), @r"
    5 % 2h
    25 % 2h
    50 % 4h
    100 % 0s
    error_rate max_absolute 0.05, max_relative_increase 2
    p95_ttft_ms max_absolute 10000, max_relative_increase 1.5
    hallucination_rate max_absolute 0.08, max_relative_increase 1.6
    avg_cost_usd max_relative_increase 1.5
    ");
    insta::assert_snapshot!(limits(&plan("class: llm-small\n")).join("\n"), @r"
    5 % 10m
    25 % 10m
    50 % 20m
    100 % 0s
    error_rate max_absolute 0.02, max_relative_increase 2
    p95_latency_ms max_absolute 1000, max_relative_increase 1.3
    hallucination_rate max_absolute 0.1, max_relative_increase 1.6
    ");
}

#[test]
fn what_a_policy_writes_goes_before_its_class_field_by_field() {
    let text = "name: mine\nclass: llm-large\nsteps: [{split: 10, dwell: 1h}, {split: 100}]\ntick: 30s\n\
                checks: [{metric: hallucination_rate, action: hold}, {metric: quality, rules: {min_absolute: 0.7}, hi: 1}]\n";
    let policy = policy(text);
    let plan = policy.plan().unwrap();
    assert_eq!(limits(&plan)[..2], ["10 % 1h", "100 % 0s"]);
    let rows = policy.table().unwrap();
    let lines: Vec<String> = rows
        .iter()
        .filter(|row| !row.what.starts_with("steps[1]") && row.from.to_string() != "default")
        .map(|row| format!("{} = {} ({})", row.what, row.value, row.from))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    name = mine (policy)
    class = llm-large (policy)
    strategy = canary (class)
    steps[0].split = 10 % (policy)
    steps[0].dwell = 1h (policy)
    steps[0].judged = true (strategy)
    steps[0].warmup = 3m (class)
    checks[0].metric = hallucination_rate (policy)
    checks[0].rules[0].max_absolute = 0.08 (class)
    checks[0].rules[1].max_relative_increase = 1.6 (class)
    checks[0].action = hold (policy)
    checks[1].metric = quality (policy)
    checks[1].rules[0].min_absolute = 0.7 (policy)
    checks[2].metric = error_rate (class)
    checks[2].rules[0].max_absolute = 0.05 (class)
    checks[2].rules[1].max_relative_increase = 2 (class)
    checks[2].rules[1].floor = 0.005 (class)
    checks[2].action = rollback (class)
    checks[3].metric = p95_ttft_ms (class)
    checks[3].rules[0].max_absolute = 10000 (class)
    checks[3].rules[1].max_relative_increase = 1.5 (class)
    checks[3].action = rollback (class)
    checks[4].metric = avg_cost_usd (class)
    checks[4].rules[0].max_relative_increase = 1.5 (class)
    checks[4].action = hold (class)
    tick = 30s (policy)
    ");
}

#[test]
fn a_policy_with_a_class_is_stored_as_it_was_written() {
    let text = "class: llm-small\nchecks: [{metric: error_rate, action: hold}]\n";
    let stored = serde_json::to_value(policy(text)).unwrap().to_string();
    assert_eq!(stored, r#"{"checks":[{"action":"hold","metric":"error_rate"}],"class":"llm-small"}"#);
    assert_eq!(plan(&stored), plan(text));
}

#[test]
fn a_class_that_is_none_is_refused_with_those_that_are() {
    insta::assert_snapshot!(refusal("class: llm-huge\nsteps: [{split: 100}]\n"), @"line 1, column 8: class: `llm-huge` is no class: write one of `starter`, `llm-upgrade`, `agent-default`, `fast`, `conservative`, `aggressive`, `triggers`, `flagger`, `llm-large`, `llm-small`, `demo`");
    insta::assert_snapshot!(refusal("class: llm-small\nchecks: [{metric: toxicity_rate}]\n"), @"line 2, column 10: checks[0].rules: missing: write one such as `rules: {gte: 0.10}`");
}

#[test]
fn what_is_wrong_with_both_together_is_told_at_what_the_policy_wrote() {
    insta::assert_snapshot!(refusal("class: llm-small\nsteps:\n  - {split: 5, dwell: 10s}\n  - {split: 50}\n"), @r"
    line 1, column 1: warmup: 1m leaves nothing to judge of step 0, which runs 10s: write less than that (from class `llm-small`)
    line 4, column 5: steps[1].dwell: missing: write how long the step is observed, such as `dwell: 30m`
    line 4, column 13: steps[1].split: the last step gives the candidate 50 %: write a last step such as `- {split: 100}`
    ");
}

#[test]
fn whoever_changes_the_method_of_a_check_of_its_class_inherits_nothing_of_the_other_one() {
    let check = "checks: [{metric: error_rate, method: sequential, rules: {max_absolute: 0.05}}]\n";
    let checks = plan(&format!("class: llm-upgrade\n{check}")).checks.unwrap().checks;
    assert_eq!((checks[0].method, checks[0].min_samples), (judge::Method::Sequential, 20), "the rest stays");
    insta::assert_snapshot!(refusal("class: llm-upgrade\nchecks: [{metric: avg_cost_usd, lo: 2, hi: 1}]\nwarmup: 40s\n"), @r"
    line 2, column 44: checks[0].hi: 1 is not above lo, 2
    line 3, column 9: warmup: 40s leaves nothing to judge of step 0, which runs 30s: write less than that
    line 3, column 9: warmup: 40s leaves nothing to judge of step 1, which runs 30s: write less than that
    line 3, column 9: warmup: 40s leaves nothing to judge of step 2, which runs 30s: write less than that
    ");
}

#[test]
fn presets_of_one_family_have_the_limits_of_agent_default() {
    let of = |name: &str| preset(name).checks.unwrap();
    for name in ["aggressive", "conservative", "fast"] {
        assert_eq!(of(name).checks, of("agent-default").checks, "{name}");
    }
    assert!(Policy::PRESETS.contains(&"fast"));
}
