//! Steps and rounds as a rollout lives through them.

use serde_json::json;

use super::{check, count, deep_check, step, tick};
use crate::{
    Baseline, Check, Comparison, Decision, Outcome, Reason, Resolved, Settings, SignalName, Signals, Span, State,
    StepShape, Tick, Trouble, Verdict, deciding, judge, render, resolve, seed,
};

fn errors(k: f64, n: f64) -> Signals {
    count(SignalName::error(), k, n)
}

fn policy(checks: &[Check], settings: &Settings, steps: &[StepShape]) -> Resolved {
    resolve(checks, settings, steps).unwrap()
}

/// One check on errors, no warm-up, steps of two minutes.
fn plain(rules: &serde_json::Value) -> Resolved {
    let check = deep_check(json!({"metric": "error_rate", "rules": rules, "method": "threshold", "min_samples": 20}));
    policy(&[check], &Settings { warmup: Some(Span(0)), ..Settings::default() }, &[step(120), step(120)])
}

/// Folds ticks one after the other; all verdicts.
fn run(resolved: &Resolved, state: State, ticks: &[Tick]) -> (State, Vec<Verdict>) {
    let mut verdicts = Vec::new();
    let state = (1..=ticks.len()).fold(state, |state, end| {
        let (after, verdict) = judge(resolved, state, &ticks[..end]);
        verdicts.push(verdict);
        after
    });
    (state, verdicts)
}

/// Ticks of 15 s of step 0 with these bad events out of 100, stable at 1 %.
fn stream(bad: &[f64]) -> Vec<Tick> {
    (1..)
        .zip(bad)
        .map(|(at, k)| tick(at, 15 * i64::try_from(at).unwrap(), errors(*k, 100.0), errors(1.0, 100.0)))
        .collect()
}

fn results(verdicts: &[Verdict]) -> Vec<(Outcome, Option<Reason>)> {
    verdicts.iter().map(|verdict| (verdict.result, verdict.reason)).collect()
}

#[test]
fn before_its_first_round_a_step_has_no_evidence_and_between_rounds_the_last_one_stands() {
    let (_, verdicts) =
        run(&plain(&json!({"gt": 0.05})), State::default(), &stream(&[0.0, 0.0, 0.0, 0.0, 50.0, 50.0, 50.0]));
    let waiting = (Outcome::NoData, Some(Reason::NoEvidenceYet));
    assert_eq!(results(&verdicts)[..3], [waiting; 3]);
    assert_eq!(results(&verdicts)[3..], [(Outcome::Pass, None); 4]);
    assert_eq!(verdicts[6].checks[0].judged_at, Some(60_000));
    assert!(verdicts.iter().all(|verdict| verdict.action == Decision::Wait));
}

#[test]
fn a_check_tells_how_many_counters_began_anew_in_its_step() {
    let mut ticks = stream(&[1.0, 1.0, 1.0, 1.0]);
    ticks[1].resets.insert(SignalName::error(), 2);
    ticks[2].resets.extend([(SignalName::error(), 1), (SignalName::latency(), 9)]);
    ticks[3] = Tick { step: 1, elapsed_ms: 15_000, ..ticks[3].clone() };
    let (_, verdicts) = run(&plain(&json!({"gt": 0.05})), State::default(), &ticks);
    let resets: Vec<u64> = verdicts.iter().map(|verdict| verdict.checks[0].resets).collect();
    assert_eq!(resets, [0, 2, 3, 0]);
}

#[test]
fn a_round_is_held_at_the_dwells_end_even_between_intervals() {
    let check = deep_check(json!({"metric": "error_rate", "rules": {"gt": 0.05}, "interval": "1h"}));
    let resolved = policy(&[check], &Settings::default(), &[step(60)]);
    let mut ticks = stream(&[0.0; 4]);
    ticks.iter_mut().for_each(|tick| tick.warmup = tick.elapsed_ms <= 15_000);
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!(verdicts[0].reason, Some(Reason::WarmingUp));
    assert_eq!((verdicts[3].result, verdicts[3].action), (Outcome::Pass, Decision::Advance));
    assert_eq!(verdicts[3].checks[0].n_candidate, Some(300.0), "the warm-up is not in it");
}

#[test]
fn a_pause_moves_the_dwells_end_and_its_round() {
    let resolved = plain(&json!({"gt": 0.05}));
    let mut ticks = stream(&[0.0; 12]);
    ticks.iter_mut().for_each(|tick| tick.held_ms = 45_000);
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!(verdicts[9].action, Decision::Wait);
    assert_eq!(verdicts[10].action, Decision::Advance);
    assert_eq!((verdicts[10].window.dwell_until, verdicts[10].checks[0].judged_at), (165_000, Some(165_000)));
}

#[test]
fn three_failed_rounds_of_a_relative_rule_are_a_breach_and_a_passing_one_starts_anew() {
    let rules = json!({"max_relative_increase": 2.0});
    let mut check = deep_check(json!({"metric": "error_rate", "rules": rules, "interval": 15, "window": 15}));
    check.min_samples = Some(20);
    let resolved = policy(&[check], &Settings { warmup: Some(Span(0)), ..Settings::default() }, &[step(600)]);
    let (_, verdicts) = run(&resolved, State::default(), &stream(&[5.0, 5.0, 1.0, 5.0, 5.0, 5.0, 1.0]));
    let failing = (Outcome::Inconclusive, Some(Reason::Failing));
    let breach = (Outcome::Breach, Some(Reason::Breach));
    assert_eq!(results(&verdicts), [failing, failing, (Outcome::Pass, None), failing, failing, breach, breach]);
    assert_eq!(render(&resolved, &verdicts[0]), ["error_rate increased 5.0x vs stable"]);
    assert_eq!(verdicts[6].action, Decision::Rollback, "a breach that rolls back stays");
    assert_eq!(verdicts[6].checks[0].value, Some(0.05), "with the numbers of its round");
}

#[test]
fn a_new_step_forgets_rounds_and_failures_in_a_row_but_not_totals() {
    let check = |mode| {
        deep_check(json!({"metric": "error_rate", "rules": {"gt": 0.05}, "failure_limit": 3, "failure_mode": mode,
            "interval": 15, "action": "hold"}))
    };
    for (mode, count) in [("consecutive", 0), ("total", 2)] {
        let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
        let resolved = policy(&[check(mode)], &settings, &[step(120), step(120)]);
        let mut ticks = stream(&[50.0, 50.0]);
        ticks.push(Tick { step: 1, warmup: true, ..tick(3, 15, Signals::new(), Signals::new()) });
        let (_, verdicts) = run(&resolved, State::default(), &ticks);
        assert_eq!(verdicts[1].checks[0].failures.count, 2);
        assert_eq!(verdicts[2].checks[0].failures.count, count);
        assert_eq!((verdicts[2].result, verdicts[2].reason), (Outcome::Inconclusive, Some(Reason::WarmingUp)));
        assert_eq!(verdicts[2].checks[0].value, None);
    }
}

#[test]
fn rules_of_a_group_add_one_failure_a_round_and_share_the_breach() {
    let check = |metric: &str| {
        deep_check(json!({"metric": metric, "rules": {"gt": 0.05}, "failure_group": "flagger", "failure_limit": 2,
            "failure_mode": "total", "interval": 15, "window": 15}))
    };
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    let resolved = policy(&[check("error_rate"), check("timeout_rate")], &settings, &[step(120)]);
    let mut ticks = stream(&[50.0, 0.0, 50.0]);
    for tick in &mut ticks {
        tick.candidate.append(&mut super::mean("timeout", 100.0, if tick.tick == 2 { 0.0 } else { 50.0 }));
    }
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    let counts: Vec<u32> = verdicts.iter().map(|verdict| verdict.checks[1].failures.count).collect();
    assert_eq!(counts, [1, 1, 2]);
    assert!(verdicts[2].checks.iter().all(|check| check.result == Outcome::Breach));
    assert_eq!(render(&resolved, &verdicts[2]).len(), 2);
}

#[test]
fn the_issue_that_decides_is_of_a_check_that_asks_for_what_is_done() {
    let check = |metric: &str, action: &str| {
        deep_check(json!({"metric": metric, "rules": {"gt": 0.05}, "action": action, "interval": 15, "window": 15}))
    };
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    let checks = [check("told_rate", "report"), check("held_rate", "hold"), check("error_rate", "rollback")];
    let resolved = policy(&checks, &settings, &[step(120)]);
    let mut ticks = stream(&[0.0, 50.0]);
    for tick in &mut ticks {
        tick.candidate.append(&mut super::mean("told", 100.0, 50.0));
        tick.candidate.append(&mut super::mean("held", 100.0, 50.0));
    }
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    let decided = |verdict: &Verdict| {
        let issues = render(&resolved, verdict);
        assert_eq!(issues[0], "told_rate too high: 0.500 > 0.05", "every issue is told");
        (verdict.action, deciding(verdict, &issues).map(str::to_owned))
    };
    let held = "held_rate too high: 0.500 > 0.05".to_owned();
    assert_eq!(decided(&verdicts[0]), (Decision::Hold, Some(held)));
    let errors = "error_rate too high: 0.500 > 0.05".to_owned();
    assert_eq!(decided(&verdicts[1]), (Decision::Rollback, Some(errors)));
    // The budget is spent: what held is in breach still, and no check asked to go back.
    let spent = Verdict { action: Decision::Rollback, reason: Some(Reason::Inconclusive), ..verdicts[0].clone() };
    assert_eq!(decided(&spent), (Decision::Rollback, None));
}

#[test]
fn a_breach_that_rolls_back_stays_through_a_step_that_comes_late() {
    let resolved = plain(&json!({"gt": 0.05}));
    let mut ticks = stream(&[50.0; 4]);
    ticks.push(Tick { step: 1, ..tick(5, 15, errors(0.0, 100.0), errors(0.0, 100.0)) });
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!((verdicts[4].step, verdicts[4].action), (1, Decision::Rollback));
    assert_eq!(render(&resolved, &verdicts[4]), ["error_rate too high: 0.500 > 0.05"]);
}

#[test]
fn a_failed_round_of_a_group_is_not_counted_again_by_a_rule_with_a_shorter_interval() {
    let check = |metric: &str, interval: u32| {
        deep_check(json!({"metric": metric, "rules": {"gt": 0.05}, "failure_group": "g", "failure_limit": 9,
            "interval": interval, "window": 15}))
    };
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    let resolved = policy(&[check("error_rate", 60), check("timeout_rate", 15)], &settings, &[step(600)]);
    let mut ticks = stream(&[50.0; 7]);
    ticks.iter_mut().for_each(|tick| tick.candidate.append(&mut super::mean("timeout", 100.0, 0.0)));
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    let counts: Vec<u32> = verdicts.iter().map(|verdict| verdict.checks[0].failures.count).collect();
    assert_eq!(counts, [0, 0, 0, 1, 1, 1, 1], "and the passing rounds do not reset it either");
}

#[test]
fn a_mean_that_is_not_positive_gives_no_ratio() {
    let round = |rules: serde_json::Value, candidate: f64, stable: f64| {
        let check = deep_check(json!({"metric": "score", "rules": rules, "failure_limit": 1, "interval": 15}));
        let resolved = policy(&[check], &Settings { warmup: Some(Span(0)), ..Settings::default() }, &[step(600)]);
        let tick = tick(1, 15, super::mean("score", 100.0, candidate), super::mean("score", 100.0, stable));
        let (_, verdicts) = run(&resolved, State::default(), &[tick]);
        (verdicts[0].checks[0].result, verdicts[0].checks[0].reason)
    };
    let negative = (Outcome::Inconclusive, Some(Reason::StableIsNegative));
    assert_eq!(round(json!({"max_relative_increase": 2}), -10.0, -10.0), negative);
    assert_eq!(round(json!({"max_relative_decrease": 0.1}), -10.0, -10.0), negative);
    assert_eq!(round(json!({"max_relative_decrease": 0.1}), -10.0, 0.0), (Outcome::Pass, None));
}

#[test]
fn failed_rounds_that_add_up_stay_a_breach_that_is_told_after_a_passing_round() {
    let rules = json!({"gt": 0.05});
    let check = deep_check(json!({"metric": "error_rate", "rules": rules, "failure_limit": 2, "failure_mode": "total",
        "interval": 15, "window": 15, "action": "hold"}));
    let resolved = policy(&[check], &Settings { warmup: Some(Span(0)), ..Settings::default() }, &[step(120)]);
    let (_, verdicts) = run(&resolved, State::default(), &stream(&[50.0, 0.0, 50.0, 0.0]));
    assert_eq!((verdicts[3].result, verdicts[3].action), (Outcome::Breach, Decision::Hold));
    assert_eq!(verdicts[3].checks[0].value, Some(0.0));
    assert_eq!(render(&resolved, &verdicts[3]), ["2 failed rounds, limit 2: error_rate"]);
}

#[test]
fn the_budget_ends_in_a_rollback_that_is_no_breach() {
    let resolved = plain(&json!({"gt": 0.05}));
    let ticks: Vec<Tick> =
        (1..=24).map(|at| tick(at, 15 * i64::try_from(at).unwrap(), Signals::new(), errors(1.0, 100.0))).collect();
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!((verdicts[7].action, verdicts[7].reason), (Decision::Extend, Some(Reason::NoCandidateData)));
    assert_eq!(verdicts[22].action, Decision::Extend);
    let last = &verdicts[23];
    assert_eq!(
        (last.action, last.reason, last.result),
        (Decision::Rollback, Some(Reason::Inconclusive), Outcome::NoData)
    );
    assert!(render(&resolved, last).is_empty());
}

#[test]
fn a_source_that_fails_for_two_minutes_is_an_error_and_heals() {
    let resolved = plain(&json!({"gt": 0.05}));
    let mut ticks = stream(&[0.0; 14]);
    for tick in ticks.iter_mut().skip(4).take(9) {
        (tick.candidate, tick.stable) = (Signals::new(), Signals::new());
        tick.troubles.insert(SignalName::error(), Trouble::SourceFailed);
    }
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!(verdicts[3].result, Outcome::Pass);
    for verdict in &verdicts[4..11] {
        assert_eq!((verdict.result, verdict.reason), (Outcome::NoData, Some(Reason::SourceFailed)));
    }
    assert_eq!((verdicts[11].result, verdicts[11].reason), (Outcome::Error, Some(Reason::SourceFailed)));
    assert_eq!((verdicts[12].result, verdicts[12].action), (Outcome::Error, Decision::Extend));
    assert_eq!((verdicts[13].result, verdicts[13].window.empty_ticks), (Outcome::Pass, 9));
}

#[test]
fn without_a_stable_arm_relative_rules_rest_or_fall_back_on_the_baseline_and_then_hold() {
    let rules = json!({"max_relative_increase": 2.0});
    let whole = StepShape { share: 1.0, ..step(60) };
    let settings = |baseline| Settings { warmup: Some(Span(0)), baseline: Some(baseline), ..Settings::default() };
    let check = deep_check(json!({"metric": "error_rate", "rules": rules, "failure_limit": 1}));
    let mut ticks = stream(&[5.0; 4]);
    ticks.iter_mut().for_each(|tick| (tick.stable, tick.stable_planned) = (Signals::new(), false));
    let hour = stream(&[0.0; 4]);

    let resting = policy(std::slice::from_ref(&check), &settings(Baseline::None), &[whole]);
    let (_, verdicts) = run(&resting, seed(&resting, &hour), &ticks);
    assert_eq!(verdicts[0].checks[0].reason, Some(Reason::NoStableArm));
    assert_eq!((verdicts[3].result, verdicts[3].action), (Outcome::Pass, Decision::Advance));

    let falling_back = policy(&[check], &settings(Baseline::Fallback), &[whole]);
    let (_, verdicts) = run(&falling_back, seed(&falling_back, &hour), &ticks);
    let entry = &verdicts[3].checks[0];
    assert_eq!((entry.comparison, entry.stable_value), (Comparison::Baseline, Some(0.01)));
    assert_eq!((verdicts[3].result, verdicts[3].action), (Outcome::Breach, Decision::Hold));
    assert_eq!(render(&falling_back, &verdicts[3]), ["error_rate increased 5.0x vs baseline"]);

    let (_, verdicts) = run(&falling_back, State::default(), &ticks);
    assert_eq!((verdicts[3].result, verdicts[3].reason), (Outcome::NoData, Some(Reason::NoBaseline)));
}

#[test]
fn a_plan_without_checks_runs_its_dwell() {
    let resolved = policy(&[], &Settings::default(), &[step(30)]);
    let (_, verdicts) = run(&resolved, State::default(), &stream(&[50.0, 50.0]));
    assert_eq!((verdicts[0].result, verdicts[0].reason), (Outcome::Inconclusive, Some(Reason::NoChecks)));
    assert_eq!((verdicts[0].action, verdicts[1].action), (Decision::Wait, Decision::Advance));
}

#[test]
fn baking_beyond_the_plan_still_finds_a_breach() {
    let resolved = plain(&json!({"gt": 0.05}));
    let mut ticks = stream(&[50.0; 4]);
    ticks.iter_mut().for_each(|tick| tick.step = 7);
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!((verdicts[0].action, verdicts[3].action), (Decision::Advance, Decision::Rollback));
}

#[test]
fn observations_that_are_no_zero_or_one_are_no_share() {
    let resolved = policy(
        &[check("hallucination_rate", "gte", "0.08")],
        &Settings { warmup: Some(Span(0)), ..Settings::default() },
        &[step(60)],
    );
    let ticks: Vec<Tick> = (1..=4)
        .map(|at| tick(at, 15 * i64::try_from(at).unwrap(), super::mean("hallucination", 100.0, 500.0), Signals::new()))
        .collect();
    let (_, verdicts) = run(&resolved, State::default(), &ticks);
    assert_eq!((verdicts[3].result, verdicts[3].reason), (Outcome::Inconclusive, Some(Reason::NotAProportion)));
}

#[test]
fn a_success_share_counts_the_failures_as_bad() {
    let resolved = policy(
        &[check("request_success_rate", "lt", "0.99")],
        &Settings { warmup: Some(Span(0)), ..Settings::default() },
        &[step(60)],
    );
    let (_, verdicts) = run(&resolved, State::default(), &stream(&[3.0; 4]));
    let entry = &verdicts[3].checks[0];
    assert_eq!((entry.value, entry.bad_candidate, entry.n_candidate), (Some(0.97), Some(12.0), Some(400.0)));
    assert_eq!(render(&resolved, &verdicts[3]), ["request_success_rate too low: 0.970 < 0.99"]);
}

#[test]
fn only_a_changed_result_reason_or_action_is_news() {
    let (_, verdicts) = run(&plain(&json!({"gt": 0.05})), State::default(), &stream(&[0.0; 8]));
    assert!(!verdicts[1].differs(&verdicts[0]));
    assert!(verdicts[3].differs(&verdicts[2]));
    assert!(!verdicts[4].differs(&verdicts[3]) && verdicts[4].is_healthy());
    assert!(verdicts[7].differs(&verdicts[6]), "the dwell's end changes the action");
}
