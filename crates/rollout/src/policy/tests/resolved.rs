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
