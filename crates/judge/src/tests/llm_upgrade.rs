//! The preset `llm-upgrade`: four metrics, below, at and above their limits, in each of its four steps.

use serde_json::json;

use super::{count, deep_check, histogram, mean, tick};
use crate::{
    Check, Decision, OnInconclusive, Outcome, Resolved, Settings, SignalName, Signals, Span, State, StepShape, Tick,
    Verdict, judge, render, resolve,
};

/// Length of a tick, in seconds.
const TICK: u64 = 5;

fn checks() -> Vec<Check> {
    [("error_rate", "0.10"), ("hallucination_rate", "0.08"), ("p95_latency_ms", "5000"), ("avg_cost_usd", "0.10")]
        .into_iter()
        .map(|(metric, limit)| {
            deep_check(json!({
                "metric": metric, "rules": [{"gte": limit}], "method": "threshold", "action": "rollback",
                "min_samples": 20, "interval": "10s", "window": "step", "failure_limit": 1,
            }))
        })
        .collect()
}

fn preset() -> Resolved {
    let settings = Settings {
        tick: Some(Span::from_secs(TICK)),
        warmup: Some(Span(0)),
        inconclusive_budget: Some(Span::from_secs(60)),
        on_inconclusive: Some(OnInconclusive::Rollback),
        ..Settings::default()
    };
    let steps = [(30, 0.05), (30, 0.25), (30, 0.5), (0, 1.0)]
        .map(|(dwell, share)| StepShape { dwell: Span::from_secs(dwell), share });
    resolve(&checks(), &settings, &steps).unwrap()
}

/// A tick's healthy traffic.
fn healthy() -> Signals {
    let mut signals = count(SignalName::error(), 2.0, 100.0);
    signals.append(&mut mean("hallucination", 100.0, 1.0));
    signals.append(&mut mean("cost_usd", 100.0, 2.0));
    signals.append(&mut histogram(&[(800.0, 100)]));
    signals
}

/// Traffic in which one metric lies below (0), at (1) or above (2) its limit and all others are healthy.
fn traffic(metric: &str, place: usize) -> Signals {
    let mut signals = healthy();
    let mut special = match metric {
        "error_rate" => count(SignalName::error(), [9.0, 10.0, 11.0][place], 100.0),
        "hallucination_rate" => mean("hallucination", 100.0, [7.0, 8.0, 9.0][place]),
        "avg_cost_usd" => mean("cost_usd", 100.0, [9.9, 10.0, 10.1][place]),
        // The 95th of 100 lies inside the cell below 5000, at its very end, or in the cell above.
        _ => histogram(&[(800.0, 80), (4900.5, [16, 15, 14][place]), (6000.0, [4, 5, 6][place])]),
    };
    signals.append(&mut special);
    signals
}

/// Runs all steps up to `bad_step`, in which the given traffic flows; the verdicts of that step.
fn run(resolved: &Resolved, bad_step: u32, special: &Signals) -> Vec<Verdict> {
    let (mut state, mut tail, mut verdicts) = (State::default(), Vec::<Tick>::new(), Vec::new());
    for step in 0..=bad_step {
        verdicts.clear();
        for round in 1..=6 {
            let signals = if step == bad_step { special.clone() } else { healthy() };
            let number = u64::try_from(tail.len()).unwrap() + 1;
            let next = tick(number, i64::try_from(TICK).unwrap() * round, signals, healthy());
            tail.push(Tick { step, stable_planned: step < 3, ..next });
            let (after, verdict) = judge(resolved, state, &tail);
            state = after;
            verdicts.push(verdict);
        }
    }
    verdicts
}

#[test]
fn any_metric_at_or_above_its_limit_rolls_back_in_any_step_and_below_it_advances() {
    let resolved = preset();
    for metric in ["error_rate", "hallucination_rate", "p95_latency_ms", "avg_cost_usd"] {
        for (place, name) in ["below", "equal", "above"].into_iter().enumerate() {
            for step in 0..4 {
                let verdicts = run(&resolved, step, &traffic(metric, place));
                let last = verdicts.last().unwrap();
                let case = format!("{metric} {name} in step {step}: {:?}", render(&resolved, last));
                if place == 0 {
                    assert_eq!((last.result, last.action), (Outcome::Pass, Decision::Advance), "{case}");
                    continue;
                }
                // The first round is at 10 s, the second tick.
                assert_ne!(verdicts[0].action, Decision::Rollback, "{case}");
                assert_eq!((verdicts[1].result, verdicts[1].action), (Outcome::Breach, Decision::Rollback), "{case}");
                assert_eq!(render(&resolved, last).len(), 1, "{case}");
                assert!(render(&resolved, last)[0].starts_with(&format!("{metric} too high: ")), "{case}");
            }
        }
    }
}

#[test]
fn a_latency_at_its_limit_is_told_as_exactly_the_limit() {
    let resolved = preset();
    let verdicts = run(&resolved, 0, &traffic("p95_latency_ms", 1));
    assert_eq!(render(&resolved, &verdicts[1]), ["p95_latency_ms too high: 5000.000 >= 5000"]);
    assert!(verdicts[1].checks[2].quantile_error.unwrap() < 0.05);
}

#[test]
fn a_cost_check_that_holds_blocks_and_does_not_roll_back() {
    let mut resolved = preset();
    resolved.checks[3].action = crate::Action::Hold;
    let verdicts = run(&resolved, 0, &traffic("avg_cost_usd", 2));
    assert_eq!(verdicts[1].action, Decision::Hold);
    assert_eq!(verdicts[5].action, Decision::Hold, "at the dwell's end it is still blocked");
}

#[test]
fn the_largest_latency_limit_and_the_window_are_told_to_routers_and_ledger() {
    let resolved = preset();
    assert_eq!(resolved.largest_latency_limit_ms(), Some(5000));
    assert_eq!(resolved.longest_window(), Some(crate::Window::Step));
}
