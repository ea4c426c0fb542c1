use judge::Span;
use serde_json::json;

use super::{plan, policy, preset};
use crate::plan::{Gate, OnDrift, OnLeaseExpired, PageResolve, Plan, Step, Strategy, WhenLive};
use crate::policy::Policy;
use crate::split::{Share, Split};

fn split(percent: f64) -> Split {
    Split::candidate(Share::of_percent(percent).unwrap())
}

fn shape(steps: &[Step]) -> Vec<(&str, f64, u64)> {
    steps.iter().map(|step| (step.name.as_str(), step.split.candidates().percent(), step.dwell.0 / 1000)).collect()
}

#[test]
fn every_preset_compiles_under_its_own_name() {
    for name in Policy::PRESETS {
        assert_eq!(preset(name).policy.as_str(), *name);
    }
    assert_eq!(Policy::preset("nobody"), None);
}

#[test]
fn llm_upgrade_has_the_steps_and_limits_of_its_source() {
    let plan = preset("llm-upgrade");
    let expected =
        [("5% canary", 5.0, 30), ("25% ramp", 25.0, 30), ("50% ramp", 50.0, 30), ("100% full rollout", 100.0, 0)];
    assert_eq!(shape(&plan.steps), expected);
    assert_eq!(plan.steps.iter().map(|step| step.judged).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(plan.steps[0].budget, Span::from_secs(60));
    let checks = plan.checks.unwrap();
    let limits: Vec<_> = checks
        .checks
        .iter()
        .map(|check| (check.metric.as_str(), check.rules[0].limit, check.rules[0].failure_limit))
        .collect();
    assert_eq!(
        limits,
        [
            ("error_rate", 0.10, 1),
            ("hallucination_rate", 0.08, 1),
            ("p95_latency_ms", 5000.0, 1),
            ("avg_cost_usd", 0.10, 1)
        ]
    );
    for check in &checks.checks {
        assert_eq!(
            (check.rules.len(), check.rules[0].comparator, check.action),
            (1, judge::Comparator::Gte, judge::Action::Rollback)
        );
        assert_eq!((check.interval, check.window, check.min_samples), (Span::from_secs(10), judge::Window::Step, 20));
    }
    assert_eq!((checks.tick, checks.steps[0].warmup), (Span::from_secs(5), Span(0)));
}

#[test]
fn agent_default_has_the_steps_and_limits_of_its_source() {
    let plan = preset("agent-default");
    assert_eq!(
        shape(&plan.steps),
        [("5 %", 5.0, 1800), ("25 %", 25.0, 3600), ("50 %", 50.0, 7200), ("100 %", 100.0, 0)]
    );
    assert_eq!(plan.steps[2].budget, Span::from_secs(4 * 3600));
    let checks = plan.checks.unwrap();
    let limits: Vec<String> = checks
        .checks
        .iter()
        .flat_map(|check| {
            check.rules.iter().map(move |rule| format!("{} {} {}", check.metric, rule.name.as_str(), rule.limit))
        })
        .collect();
    assert_eq!(
        limits,
        [
            "error_rate max_absolute 0.05",
            "error_rate max_relative_increase 2",
            "p99_latency_ms max_relative_increase 1.5",
            "task_success_rate min_absolute 0.9",
            "task_success_rate max_relative_decrease 0.1",
            "quality_score max_relative_decrease 0.05",
        ]
    );
    assert_eq!(checks.checks[0].rules[1].floor, Some(0.001));
    assert_eq!(checks.steps[0].warmup, Span::from_secs(180));
    assert!(checks.checks.iter().all(|check| check.method == judge::Method::Sequential), "{:?}", plan.notes);
    let weights: Vec<_> = checks.sequential.gates.iter().map(|gate| (gate.weight * 68.0).round()).collect();
    assert_eq!(weights, [4.0, 15.0, 15.0, 4.0, 15.0, 15.0]);
    let tolerances: Vec<_> = checks.sequential.gates.iter().filter_map(|gate| gate.tolerance).collect();
    assert!(tolerances.iter().zip([1.15, 1.075, 0.985, 0.9925]).all(|(found, wanted)| (found - wanted).abs() < 1e-12));
}

/// The steps and limits of a preset, a line for each.
fn told(name: &str) -> Vec<String> {
    let plan = preset(name);
    let steps = plan.steps.iter().map(|step| {
        let gate = if step.gate.is_some() { " after a person" } else { "" };
        format!("{} for {}{gate}", step.split.candidates(), step.dwell)
    });
    let checks = plan.checks.as_ref().unwrap();
    let rules = checks.checks.iter().flat_map(|check| {
        check.rules.iter().map(move |rule| {
            let failures = format!(", {} failures {:?}", rule.failure_limit, rule.failure_mode);
            let failures = if check.method == judge::Method::Threshold { failures } else { String::new() };
            format!("{} {} {} {:?}{failures}", check.metric, rule.name.as_str(), rule.limit_text, check.method)
        })
    });
    steps.chain(rules).collect()
}

#[test]
fn every_preset_has_the_numbers_of_its_source() {
    for name in ["conservative", "aggressive", "triggers", "flagger", "llm-large", "llm-small"] {
        insta::assert_snapshot!(name, told(name).join("\n"));
    }
}

#[test]
fn activate_is_built_in_and_the_same_as_its_file() {
    let plan = Plan::activate();
    assert_eq!(plan, preset("activate"));
    assert_eq!(
        (plan.strategy, plan.policy.as_str(), plan.lease),
        (Strategy::Activate, "activate", Some(Span::from_secs(300)))
    );
    assert_eq!(shape(&plan.steps), [("100 %", 100.0, 0)]);
    assert!(plan.checks.is_none() && !plan.steps[0].judged && plan.notes.is_empty());
}

#[test]
fn percent_and_weight_are_two_ways_to_write_a_split() {
    for written in ["split: 5", "split: 5.0", "split: \"5%\"", "split: 5 %", "split: [5, 95]", "weight: 0.05"] {
        let plan = plan(&format!("steps: [{{{written}, dwell: 1m}}, {{weight: 1}}]"));
        assert_eq!(
            plan.steps.iter().map(|step| step.split.clone()).collect::<Vec<_>>(),
            [split(5.0), split(100.0)],
            "{written}"
        );
    }
}

#[test]
fn a_share_that_looks_like_a_fraction_is_noted() {
    let plan = plan(
        "name: mine\nsteps: [{split: 0.05, dwell: 1m}, {split: 100}]\nchecks: [{metric: error_rate, rules: {gte: 0.1}, method: threshold}]",
    );
    assert_eq!(
        plan.notes,
        ["steps[0].split: 0.05 % of the traffic (if the fraction 0.05 was meant: write `weight: 0.05`)"]
    );
}

#[test]
fn steps_of_agent_sre_are_read_and_given_back_as_they_were() {
    let theirs = json!([
        {"name": "5% canary", "weight": 0.05, "duration_seconds": 30, "analysis": [], "manual_gate": false},
        {"name": "", "weight": 0.3, "duration_seconds": 120, "analysis": [], "manual_gate": true},
        {"name": "full", "weight": 1.0, "duration_seconds": 0, "analysis": [], "manual_gate": false},
    ]);
    let read = policy(&json!({"name": "pasted", "steps": theirs}).to_string());
    let back: Vec<_> = read.steps().iter().map(crate::PolicyStep::to_agent_sre).collect();
    assert_eq!(json!(back), theirs);
    let plan = read.plan().unwrap();
    assert_eq!(shape(&plan.steps), [("5% canary", 5.0, 30), ("30 %", 30.0, 120), ("full", 100.0, 0)]);
    assert!(plan.steps[1].gate.is_some());
}

#[test]
fn a_gate_is_true_or_its_terms() {
    let text = "steps: [{split: 5, dwell: 1m, gate: true}, {split: 9, dwell: 1m, gate: {expires: 2h, approver_not_requester: true}}, {split: 100, gate: false}]";
    let gates: Vec<_> = plan(text).steps.into_iter().map(|step| step.gate).collect();
    let day = Gate { expires: Span::from_secs(86_400), approver_not_requester: false };
    let ours = Gate { expires: Span::from_secs(7200), approver_not_requester: true };
    assert_eq!(gates, [Some(day), Some(ours), None]);
}

#[test]
fn without_checks_the_dwell_decides_and_the_plan_says_so() {
    let plan = plan("name: mine\nstrategy: linear\nsteps: [{split: 50, dwell: 0s}, {split: 100}]");
    assert!(plan.checks.is_none() && plan.steps.iter().all(|step| !step.judged && step.budget == Span(0)));
    assert_eq!(plan.strategy, Strategy::Canary);
    assert_eq!(plan.notes, ["checks: none, so nothing is judged: each step runs its dwell and the next one follows"]);
}

#[test]
fn what_is_left_open_is_filled_in_and_what_is_written_holds() {
    let open = plan("steps: [{split: 100}]");
    assert_eq!(
        (open.bake, open.lease, open.on_lease_expired),
        (Span(0), Some(Span::from_secs(300)), OnLeaseExpired::Resume)
    );
    assert_eq!((open.prepare_limit, open.pause_limit), (Span::from_secs(600), Span::from_secs(259_200)));
    assert_eq!(
        (open.when_live, open.keep_cohort, open.smoke, open.policy.as_str()),
        (WhenLive::Reject, false, None, "unnamed")
    );
    let written = plan(
        "name: mine\nsteps: [{split: 100}]\nbake: 1h\nlease: off\non_lease_expired: rollback\nprepare_limit: 60\npause_limit: 1h\n\
         when_live: supersede\non_drift: hold\nkeep_cohort: true\npage_resolve: by_hand\nsmoke: {path: /predict, method: POST, body: {x: [1, null]}, status: 200}\n",
    );
    assert_eq!(
        (written.bake, written.lease, written.on_lease_expired),
        (Span::from_secs(3600), None, OnLeaseExpired::Rollback)
    );
    assert_eq!((written.prepare_limit, written.pause_limit), (Span::from_secs(60), Span::from_secs(3600)));
    assert_eq!((written.when_live, written.keep_cohort), (WhenLive::Supersede, true));
    assert_eq!((open.on_drift, written.on_drift), (OnDrift::Restore, OnDrift::Hold));
    assert_eq!((open.page_resolve, written.page_resolve), (PageResolve::Automatic, PageResolve::ByHand));
    assert_eq!(written.smoke.unwrap().body, Some(json!({"x": [1, null]})));
}

#[test]
fn a_policy_is_stored_and_read_back_whole() {
    for name in Policy::PRESETS {
        let read = policy(Policy::preset(name).unwrap());
        let stored = serde_json::to_string(&read).unwrap();
        assert_eq!(policy(&stored), read, "as a body");
        assert_eq!(serde_json::from_str::<Policy>(&stored).unwrap(), read, "as a row");
    }
    let error = serde_json::from_str::<Policy>(r#"{"steps": [{"split": 5}]}"#).unwrap_err().to_string();
    assert!(error.contains("steps[0].dwell: missing"), "{error}");
}
