//! That what comes out means what went in: resolved numbers, and ways there and back.

use judge::FailureMode;
use judge::check::Action;
use rollout::{Plan, Policy, PolicyName, PolicyStep};
use serde_json::{Value, json};

use super::{SOURCES, exported, imported, plan, read};
use crate::{Format, Target};

fn of_source(at: usize) -> Policy {
    let (format, texts) = SOURCES[at];
    read(&imported(format, texts).unwrap().text)
}

/// A plan without its name.
fn unnamed(policy: &Policy) -> Plan {
    policy.clone().with_name(PolicyName::new("it").unwrap()).plan().unwrap()
}

fn preset(name: &str) -> Policy {
    read(Policy::preset(name).unwrap())
}

#[test]
fn the_canary_of_vllm_agent_is_the_preset_flagger_to_the_last_number() {
    assert_eq!(unnamed(&of_source(0)), unnamed(&preset("flagger")));
    assert_eq!(of_source(0).name().unwrap().as_str(), "vllm-agent");
}

#[test]
fn the_demo_of_agent_sre_is_the_preset_llm_upgrade_to_the_last_number() {
    let rows = |text: &str| {
        let rows = read(text).table().unwrap().into_iter();
        // How a number is written is shown to people and means nothing: 0.10 is 0.1.
        rows.filter(|row| row.what != "name" && !row.what.starts_with("slos"))
            .map(|row| (row.what, row.value.replace("0.10", "0.1")))
            .collect::<Vec<_>>()
    };
    let mut demo: Value = serde_json::from_str(SOURCES[5].1[0]).unwrap();
    demo["rollback_conditions"].as_array_mut().unwrap().truncate(4);
    for step in demo["steps"].as_array_mut().unwrap() {
        (step["analysis"], step["manual_gate"]) = (json!([]), json!(false));
    }
    let made = imported(Format::AgentSre, &[&demo.to_string()]).unwrap().text;
    assert_eq!(rows(&made), rows(Policy::preset("llm-upgrade").unwrap()));
}

#[test]
fn steps_of_agent_sre_come_back_as_they_went_in() {
    let theirs = json!([
        {"name": "5% canary", "weight": 0.05, "duration_seconds": 30, "analysis": [], "manual_gate": false},
        {"name": "", "weight": 0.125, "duration_seconds": 7200, "analysis": [], "manual_gate": true},
        {"name": "say: \"all\" # of it", "weight": 1.0, "duration_seconds": 0, "analysis": [], "manual_gate": false},
    ]);
    let read = read(&imported(Format::AgentSre, &[&theirs.to_string()]).unwrap().text);
    assert_eq!(json!(read.steps().iter().map(PolicyStep::to_agent_sre).collect::<Vec<_>>()), theirs);
}

#[test]
fn a_policy_that_came_from_flagger_goes_there_and_back() {
    // Not the one by iterations: it looks more often than it steps, and Flagger does both once an interval.
    for policy in [of_source(0), of_source(1), preset("flagger")] {
        let there = exported(Target::Flagger, &policy).text;
        let back = read(&imported(Format::Flagger, &[&there]).unwrap().text);
        assert_eq!(unnamed(&back), unnamed(&policy), "{there}");
    }
}

#[test]
fn a_policy_that_came_from_argo_goes_there_and_back() {
    let policy = of_source(3);
    let there = exported(Target::Argo, &policy).text;
    let back = read(&imported(Format::Argo, &[&there]).unwrap().text);
    assert_eq!(unnamed(&back), unnamed(&policy), "{there}");
}

#[test]
fn checks_of_one_metric_have_a_name_each_in_argo_and_only_those_that_report_are_dry() {
    let policy = read(
        "name: it\nsteps: [{split: 10, dwell: 10m}, {split: 100}]\nchecks:\n\
         - {metric: wait, query: {value: 'max(wait{})'}, rules: {gt: 3}, action: report}\n\
         - {metric: wait, query: {value: 'max(wait{})'}, rules: {gt: 5}}\n\
         - {metric: queue, query: {value: 'max(queue{})'}, rules: {lt: 1, gt: 9}}\n\
         - {metric: queue_high, query: {value: 'max(high{})'}, rules: {gt: 7}, action: report}\n",
    );
    let there = exported(Target::Argo, &policy).text;
    let made = plan(&imported(Format::Argo, &[&there]).unwrap().text).checks.unwrap().checks;
    let made: Vec<_> = made.iter().map(|check| (check.metric.as_str(), check.rules[0].limit, check.action)).collect();
    let expected = [
        ("wait", 3.0, Action::Report),
        ("wait_2", 5.0, Action::Rollback),
        ("queue", 1.0, Action::Rollback),
        ("queue_high", 9.0, Action::Rollback),
        ("queue_high_2", 7.0, Action::Report),
    ];
    assert_eq!(made, expected, "{there}");
    assert!(
        there.contains("  dryRun:\n    - metricName: \"^wait$\"\n    - metricName: \"^queue_high_2$\"\n"),
        "{there}"
    );
}

#[test]
fn what_is_exported_of_every_part_is_read_again() {
    let policy = read(include_str!("../golden/every-part.yaml"));
    for (target, format) in [(Target::Flagger, Format::Flagger), (Target::Argo, Format::Argo)] {
        let there = exported(target, &policy).text;
        let back = imported(format, &[&there]).unwrap_or_else(|error| panic!("{error}\n{there}"));
        assert!(plan(&back.text).checks.is_some(), "{there}");
    }
}

#[test]
fn one_failure_more_than_argo_bears_is_a_breach_in_total() {
    let checks = plan(&imported(SOURCES[3].0, SOURCES[3].1).unwrap().text).checks.unwrap();
    let counted = |metric: &str| {
        let rule = &checks.checks.iter().find(|check| check.metric == metric).unwrap().rules[0];
        (rule.failure_limit, rule.failure_mode, rule.failure_group.clone())
    };
    assert_eq!(counted("success_rate"), (4, FailureMode::Total, None));
    assert_eq!(counted("p95"), (1, FailureMode::Total, None));
}

#[test]
fn weights_grow_as_flagger_lets_them() {
    let steps = |weights: &str| {
        let canary = format!(
            "kind: Canary\nmetadata: {{name: x}}\nspec: {{analysis: {{interval: 5s, threshold: 1, {weights}}}}}"
        );
        let plan = plan(&imported(Format::Flagger, &[&canary]).unwrap().text);
        let shares = plan.steps.iter().map(|step| (step.split.candidates().percent(), step.dwell.0 / 1000));
        shares.collect::<Vec<_>>()
    };
    // An interval is no shorter than ten seconds there.
    assert_eq!(steps("stepWeight: 20, maxWeight: 50"), [(20.0, 10), (40.0, 10), (60.0, 10), (100.0, 0)]);
    assert_eq!(steps("stepWeight: 60"), [(60.0, 10), (100.0, 0)]);
    assert_eq!(steps("stepWeights: [1, 2, 100], maxWeight: 5"), [(1.0, 10), (2.0, 10), (100.0, 0)]);
    assert_eq!(steps("stepWeight: 30, stepWeights: [1, 50]"), [(30.0, 10), (60.0, 10), (100.0, 0)]);
    assert_eq!(steps("iterations: 6"), [(10.0, 60), (100.0, 0)]);
}
