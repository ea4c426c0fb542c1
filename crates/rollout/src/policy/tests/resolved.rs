use super::policy;

#[test]
fn the_table_says_what_applies_and_where_it_came_from() {
    let text = "name: mine\nsteps: [{split: 5, dwell: 5m, gate: true}, {split: 100}]\nlease: off\n\
                checks: [{metric: p99_latency_ms, rules: {max_relative_increase: 1.5}, action: hold, window: step}]\n";
    let rows = policy(text).table().unwrap();
    let lines: Vec<String> = rows.iter().map(|row| format!("{} = {} ({})", row.what, row.value, row.from)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    name = mine (policy)
    strategy = canary (default)
    steps[0].name = 5 % (default)
    steps[0].split = 5 % (policy)
    steps[0].dwell = 5m (policy)
    steps[0].gate = expires 1day (policy)
    steps[0].judged = true (strategy)
    steps[0].warmup = 30s (default)
    steps[0].inconclusive_budget = 10m (default)
    steps[0].min_dwell = 5m (default)
    steps[1].name = 100 % (default)
    steps[1].split = 100 % (policy)
    steps[1].dwell = 0s (default)
    steps[1].gate = none (default)
    steps[1].judged = false (strategy)
    checks[0].metric = p99_latency_ms (policy)
    checks[0].rules[0].max_relative_increase = 1.5 (policy)
    checks[0].rules[0].failure_limit = 3 (default)
    checks[0].rules[0].failure_mode = consecutive (default)
    checks[0].method = threshold (default)
    checks[0].action = hold (policy)
    checks[0].min_samples = 100 (default)
    checks[0].interval = 1m (default)
    checks[0].window = step (policy)
    checks[0].max_blind = 2m (default)
    checks[0].baseline = none (default)
    tick = 15s (default)
    alpha = 0.01 (default)
    beta = 0.05 (default)
    on_inconclusive = rollback (default)
    on_degraded = continue (default)
    baseline = none (default)
    retries_per_day = 3 (default)
    bake = 0s (default)
    lease = off (policy)
    on_lease_expired = resume (default)
    prepare_limit = 10m (default)
    pause_limit = 3days (default)
    when_live = reject (default)
    on_drift = restore (default)
    keep_cohort = false (default)
    page_resolve = automatic (default)
    smoke = none (default)
    ");
}

#[test]
fn a_score_of_a_judge_that_nobody_has_calibrated_is_reported_and_not_judged() {
    let of = |judged_by: &str| {
        let text = format!(
            "steps: [{{split: 5, dwell: 5m}}, {{split: 100}}]\n\
             checks: [{{metric: quality, rules: {{min_absolute: 0.7}}, hi: 1, action: rollback, judged_by: {judged_by}}}, {{metric: error_rate, rules: {{gte: 0.1}}}}]\n"
        );
        let policy = policy(&text);
        let plan = policy.plan().unwrap();
        let rows = policy
            .table()
            .unwrap()
            .into_iter()
            .filter(|row| row.what.ends_with("judged_by") || row.what == "checks[0].action");
        let rows: Vec<String> = rows.map(|row| format!("{} = {} ({})", row.what, row.value, row.from)).collect();
        let notes = plan.notes.into_iter().filter(|note| note.contains("judged_by"));
        [rows, notes.collect()].concat().join("\n")
    };
    insta::assert_snapshot!(of("{name: rubric-3, agreement: 0.87, n: 400}"), @r"
    checks[0].action = rollback (policy)
    checks[0].judged_by = rubric-3, agrees with people in 87 % of 400 (policy)
    ");
    insta::assert_snapshot!(of("{name: rubric-3, agreement: 0.87}"), @r"
    checks[0].action = report (default)
    checks[0].judged_by = rubric-3, not calibrated (policy)
    checks[0]: action: report (nobody knows how far `rubric-3` can be trusted: `judged_by` lacks `n`)
    ");
    let refused = |judged_by: &str| {
        super::refusal(&format!(
            "steps: [{{split: 5, dwell: 5m}}, {{split: 100}}]\nchecks: [{{metric: q, rules: {{lt: 0.7}}, hi: 1, judged_by: {judged_by}}}]\n"
        ))
    };
    insta::assert_snapshot!(refused("{name: rubric-3, agreement: 0.87}"), @"line 2, column 58: checks[0].judged_by: without both numbers nothing of this policy is judged: write `agreement` and `n`, or `action: report`");
    insta::assert_snapshot!(refused("{name: rubric-3, agreement: 87, n: 0}"), @r"
    line 2, column 86: checks[0].judged_by.agreement: no share of items: write one such as 0.87
    line 2, column 93: checks[0].judged_by.n: 0 items calibrate nothing: write how many people have judged too
    ");
    insta::assert_snapshot!(refused("{name: rubric-3, agrement: 0.87}"), @"line 2, column 58: checks[0].judged_by: unknown field `agrement`, expected one of `name`, `agreement`, `n`");
}

#[test]
fn objectives_stand_beside_the_limits_with_their_budgets() {
    let rows = policy(crate::policy::Policy::preset("llm-upgrade").unwrap()).table().unwrap();
    let rows = rows.into_iter().filter(|row| row.what.starts_with("slos"));
    let lines: Vec<String> = rows.map(|row| format!("{} = {} ({})", row.what, row.value, row.from)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    slos[0].metric = task_success_rate (policy)
    slos[0].min = 0.95 (policy)
    slos[0].window = 1h (default)
    slos[0].budget = 0.05 (default)
    slos[1].metric = p95_latency_ms (policy)
    slos[1].max = 2000 (policy)
    slos[1].window = 1h (default)
    slos[1].budget = 0.05 (default)
    slos[2].metric = avg_cost_usd (policy)
    slos[2].max = 0.1 (policy)
    slos[2].window = 1h (default)
    slos[2].budget = 1 (default)
    slos[3].metric = hallucination_rate (policy)
    slos[3].max = 0.05 (policy)
    slos[3].window = 1h (default)
    slos[3].budget = 0.05 (default)
    ");
    insta::assert_snapshot!(super::refusal("steps: [{split: 100}]\nslos: [{metric: error_rate, max: 0.1}]\n"), @"line 2, column 7: slos: without checks nothing is counted: write one, at least with `action: report`");
    insta::assert_snapshot!(super::refusal("class: llm-small\nslos:\n  - {metric: p95_latency_ms, min: 3}\n"), @"line 3, column 35: slos[0].min: no user minds a quick answer: write `max`");
}
