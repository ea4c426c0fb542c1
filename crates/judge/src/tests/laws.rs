//! What holds for every policy and every stream of ticks.

use proptest::prelude::*;
use serde_json::json;

use super::{count, deep_check, histogram, mean, step, tick};
use crate::check::{Action, Comparator};
use crate::decision::{Clock, Stance, Standing, decide};
use crate::threshold::{Sample, evaluate};
use crate::{
    Baseline, Check, Collector, Decision, OnDegraded, OnInconclusive, Outcome, Resolved, Settings, SignalName, Signals,
    State, StepShape, Tick, Trouble, Verdict, judge, render, resolve, seed,
};

const OUTCOMES: [Outcome; 7] = [
    Outcome::NotApplicable,
    Outcome::Pass,
    Outcome::Degraded,
    Outcome::Inconclusive,
    Outcome::NoData,
    Outcome::Error,
    Outcome::Breach,
];

const ACTIONS: [Action; 4] = [Action::Rollback, Action::Hold, Action::Gate, Action::Report];

/// Numbers that break arithmetic, and plain ones.
fn awkward() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..200.0,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, -0.0, f64::MAX, 1e-320]),
    ]
}

fn policy() -> Resolved {
    let checks: Vec<Check> = [
        json!({"metric": "error_rate", "rules": {"max_absolute": 0.05, "max_relative_increase": 2}, "interval": 30}),
        json!({"metric": "p95_latency_ms", "rules": [{"gte": 5000}], "window": "60s", "action": "hold"}),
        json!({"metric": "quality", "rules": {"max_relative_decrease": 0.05}, "failure_mode": "total", "window": "step"}),
        json!({"metric": "hallucination_rate", "rules": {"gt": 0.1}, "failure_group": "judged", "failure_limit": 2}),
        json!({"metric": "avg_cost_usd", "rules": {"lte": 0.0}, "failure_group": "judged", "action": "report"}),
        json!({"metric": "error_rate", "rules": {"max_absolute": 0.06, "max_relative_increase": 2.5}}),
        json!({"metric": "p95_latency_ms", "rules": {"gt": 3000, "max_relative_increase": 1.5}, "action": "gate"}),
        json!({"metric": "quality", "rules": {"max_relative_decrease": 0.1, "lt": 0.2}, "hi": 1}),
        json!({"metric": "hallucination_rate", "rules": {"max_relative_decrease": 0.2, "gt": 0.3}}),
    ]
    .into_iter()
    .map(deep_check)
    .collect();
    let settings = Settings { baseline: Some(Baseline::Fallback), ..Settings::default() };
    let whole = StepShape { share: 1.0, ..step(120) };
    resolve(&checks, &settings, &[step(120), step(300), whole]).unwrap()
}

fn signals() -> impl Strategy<Value = Signals> {
    let error = (awkward(), awkward()).prop_map(|(k, n)| count(SignalName::error(), k, n));
    let sized = |name| (awkward(), awkward()).prop_map(move |(n, s1)| mean(name, n, s1));
    let latency = prop::collection::vec((0.0..9000.0, 0..u64::MAX), 0..4).prop_map(|cells| histogram(&cells));
    let all = prop_oneof![error, sized("quality"), sized("hallucination"), sized("cost_usd"), latency];
    prop::collection::vec(all, 0..6).prop_map(|parts| parts.into_iter().flatten().collect())
}

prop_compose! {
    fn any_tick()(
        candidate in signals(),
        stable in signals(),
        gap in 0_u64..3,
        seconds in 0_i64..40,
        next_step in prop::bool::weighted(0.1),
        warmup in prop::bool::weighted(0.1),
        stable_planned in prop::bool::weighted(0.9),
        is_failed in prop::bool::weighted(0.2),
    ) -> (Tick, u64, i64, bool) {
        let troubles = is_failed.then_some((SignalName::error(), Trouble::SourceFailed)).into_iter().collect();
        let tick = Tick { candidate, stable, warmup, stable_planned, troubles, ..Tick::default() };
        (tick, gap, seconds, next_step)
    }
}

/// A ledger: ticks that follow each other, some numbers skipped or repeated.
fn ledger() -> impl Strategy<Value = Vec<Tick>> {
    prop::collection::vec(any_tick(), 1..40).prop_map(|parts| {
        let (mut number, mut elapsed_ms, mut step) = (0, 0, 0);
        parts
            .into_iter()
            .map(|(tick, gap, seconds, next_step)| {
                number += gap;
                elapsed_ms = if next_step { 15_000 } else { elapsed_ms + seconds * 1000 };
                step += u32::from(next_step);
                Tick { tick: number, elapsed_ms, step, ..tick }
            })
            .collect()
    })
}

fn fold_all(resolved: &Resolved, ticks: &[Tick], between: impl Fn(State) -> State) -> (State, Vec<Verdict>) {
    let mut state = seed(resolved, ticks);
    let mut verdicts = Vec::new();
    for end in 1..=ticks.len() {
        let (after, verdict) = judge(resolved, between(state), &ticks[..end]);
        state = after;
        verdicts.push(verdict);
    }
    (state, verdicts)
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_state_that_was_stored_and_read_goes_on_as_if_it_had_not_been(ticks in ledger()) {
        let resolved = policy();
        let straight = fold_all(&resolved, &ticks, |state| state);
        prop_assert_eq!(&straight, &fold_all(&again(&resolved), &ticks, |state| again(&state)));
        for verdict in &straight.1 {
            prop_assert_eq!(verdict, &again(verdict));
        }
    }

    #[test]
    fn a_tick_that_was_folded_changes_nothing(ticks in ledger()) {
        let resolved = policy();
        let (state, verdicts) = fold_all(&resolved, &ticks, |state| state);
        for end in 1..=ticks.len() {
            let (after, verdict) = judge(&resolved, state.clone(), &ticks[..end]);
            prop_assert_eq!(&after, &state);
            prop_assert_eq!(Some(&verdict), verdicts.last());
        }
        prop_assert_eq!(judge(&resolved, state.clone(), &[]).0, state);
    }

    #[test]
    fn a_tail_that_repeats_ticks_or_reaches_too_far_back_changes_nothing(ticks in ledger()) {
        let resolved = policy();
        let (straight, _) = fold_all(&resolved, &ticks, |state| state);
        let mut state = seed(&resolved, &ticks);
        for end in 1..=ticks.len() {
            let doubled: Vec<Tick> =
                ticks[..end - 1].iter().flat_map(|tick| [tick.clone(), tick.clone()]).chain([ticks[end - 1].clone()]).collect();
            state = judge(&resolved, state, &doubled).0;
        }
        prop_assert_eq!(state, straight);
    }

    #[test]
    fn more_bad_events_never_turn_a_breach_into_a_pass(
        bad in prop::collection::vec(0_u32..30, 4..30),
        more in prop::collection::vec(0_u32..30, 4..30),
        stable in 0_u32..20,
    ) {
        let resolved = policy();
        let run = |bad: &[u32]| {
            let ticks: Vec<Tick> = (1..)
                .zip(bad)
                .map(|(number, k)| {
                    let candidate = count(SignalName::error(), f64::from(*k), 100.0);
                    let stable = count(SignalName::error(), f64::from(stable), 100.0);
                    tick(number, 15 * i64::try_from(number).unwrap(), candidate, stable)
                })
                .collect();
            let verdicts = fold_all(&resolved, &ticks, |state| state).1;
            verdicts.iter().map(|verdict| verdict.checks[0].result).collect::<Vec<_>>()
        };
        let worse: Vec<u32> = bad.iter().zip(more.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a + b).collect();
        for (before, after) in run(&bad).into_iter().zip(run(&worse)) {
            prop_assert!(after >= before, "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn what_is_no_number_or_missing_never_passes_and_never_breaches(
        broken in prop::sample::select(vec![None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)]),
        n in prop::option::of(60.0..1000.0),
        relative in any::<bool>(),
        is_stable in any::<bool>(),
    ) {
        let mut rule = policy().checks[0].rules[0].clone();
        rule.comparator = if relative { Comparator::RelativeIncrease } else { Comparator::Gt };
        let broken = broken.map(|value| Sample { value, n });
        let fine = Some(Sample { value: 0.01, n: Some(1000.0) });
        let (candidate, stable) = if is_stable && relative { (fine, broken) } else { (broken, fine) };
        prop_assert_eq!(evaluate(&rule, 50, candidate, stable).0, Outcome::NoData);
    }

    #[test]
    fn a_worse_result_never_leads_to_a_bolder_action(
        checks in prop::collection::vec((0_usize..7, 0_usize..4), 1..5),
        worse_by in 1_usize..6,
        at in any::<prop::sample::Index>(),
        times in (0_i64..10_000, 0_i64..500, 0_i64..2000, 0_i64..4000, prop::option::of(0_i64..2000)),
        stances in (0_usize..3, 0_usize..3),
    ) {
        let (elapsed_ms, held_ms, dwell_ms, budget_ms, least) = times;
        let clock = Clock { elapsed_ms, held_ms, dwell_ms, budget_ms, min_dwell_ms: least };
        let stance = Stance {
            on_degraded: [OnDegraded::Continue, OnDegraded::Rollback, OnDegraded::Hold][stances.0],
            on_inconclusive: [OnInconclusive::Rollback, OnInconclusive::Hold, OnInconclusive::Gate][stances.1],
        };
        let standings: Vec<Standing> =
            checks.iter().map(|(result, action)| Standing { result: OUTCOMES[*result], action: ACTIONS[*action] }).collect();
        let mut worse = standings.clone();
        let changed = at.index(worse.len());
        worse[changed].result = OUTCOMES[(checks[changed].0 + worse_by).min(6)];
        let (before, after) = (decide(&standings, clock, stance), decide(&worse, clock, stance));
        prop_assert!(after.result >= before.result);
        prop_assert!(after.action != Decision::Advance || before.action == Decision::Advance);
    }

    #[test]
    fn no_ledger_makes_the_judge_panic(
        ticks in prop::collection::vec((any::<u32>(), any::<u64>(), any::<i64>(), any::<i64>(), any_tick()), 0..12),
    ) {
        let resolved = policy();
        let ticks: Vec<Tick> = ticks
            .into_iter()
            .map(|(step, number, elapsed_ms, held_ms, (tick, ..))| Tick { step: step % 5, tick: number, elapsed_ms, held_ms, ..tick })
            .collect();
        let (state, verdicts) = fold_all(&resolved, &ticks, |state| state);
        prop_assert_eq!(again(&state), state);
        for verdict in verdicts {
            let _ = render(&resolved, &verdict);
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC*", number in any::<f64>()) {
        let value = json!({"metric": text.clone(), "rules": {"gt": text.clone()}, "window": text.clone(), "phi": number});
        if let Ok(check) = serde_json::from_value::<Check>(value) {
            let _ = resolve(&[check], &Settings::default(), &[step(60)]);
        }
        let _ = text.parse::<crate::Span>();
        let _ = crate::Limit::parse(&text);
        let _ = crate::Metric::parse(&text);
    }

    #[test]
    fn no_policy_makes_the_resolver_panic(
        limits in prop::collection::vec(awkward(), 8),
        spans in prop::collection::vec(any::<u64>(), 4),
        alpha in awkward(),
        metric in prop::sample::select(vec!["error_rate", "p99_latency_ms", "quality", "x_rate", "p1_latency_ms", ""]),
    ) {
        let span = |at: usize| Some(crate::Span(spans[at]));
        let limit = |at: usize| Some(crate::Limit::from(limits[at]));
        let mut check = super::check(metric, "gt", "0.5");
        let set = crate::RuleSet {
            gte: limit(0), lt: limit(1), max_relative_increase: limit(2), max_relative_decrease: limit(3),
            floor: limit(4).map(crate::Floor::At), weight: Some(limits[5]), ..crate::RuleSet::default()
        };
        (check.rules, check.interval, check.max_blind) = (crate::Rules::List(vec![set]), span(0), span(1));
        let settings = Settings { alpha: Some(alpha), tick: span(2), warmup: span(3), min_dwell: span(3), ..Settings::default() };
        match resolve(&[check.clone(), check], &settings, &[step(spans[0]), step(0)]) {
            Ok(resolved) => drop(judge(&resolved, State::default(), &[])),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

#[test]
fn a_collector_before_its_first_step_collects_nothing() {
    assert_eq!(Collector::new().close(&[], i64::MAX, i64::MAX), crate::Collected::default());
}
