//! A2, A3 and A5 of the design, as quick sets: seeds are fixed, so nothing here is luck.

use judge::{Signal, SignalName, Tick};
use rollout::{Plan, Policy};

use crate::{Effect, End, Pods, Simulated, Traffic, Weather, World, run};

/// The twelve gates of the reference scenarios.
const TWELVE: &str = include_str!("../twelve.yaml");

/// The length of a tick, in seconds.
const TICK: f64 = 15.0;

fn plan(text: &str) -> Plan {
    Policy::from_yaml(text).unwrap().plan().unwrap()
}

fn errors(factor: f64) -> Effect {
    Effect { errors: factor, ..Effect::default() }
}

fn runs(text: &str, traffic: &Traffic, effect: &Effect, count: u64) -> Vec<Simulated> {
    let plan = plan(text);
    (0..count).map(|number| run(&plan, traffic, effect, number)).collect()
}

/// Median and 95th percentile of the seconds until a rollback; those that were not rolled back count as never.
fn detection(found: &[Simulated]) -> (f64, f64) {
    let after = |one: &Simulated| if one.end == End::RolledBack { one.seconds } else { f64::INFINITY };
    let mut seconds: Vec<f64> = found.iter().map(after).collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[found.len() / 2], seconds[found.len() * 95 / 100])
}

fn back(found: &[Simulated]) -> usize {
    found.iter().filter(|one| one.end == End::RolledBack).count()
}

#[test]
fn a_healthy_version_is_not_taken_back_and_is_proved_in_time() {
    let found = runs(TWELVE, &Traffic::default(), &Effect::default(), 60);
    assert!(back(&found) <= 1, "{} of 60 taken back", back(&found));
    let promoted = found.iter().filter(|one| one.end == End::Completed).count();
    assert!(promoted >= 59, "{promoted} of 60 promoted");
    // 83 % are proved within the first step's dwell, give or take what 60 runs can tell.
    let in_time = found.iter().filter(|one| one.steps.first().is_some_and(|took| *took <= 1800.0)).count();
    assert!((0.68..=0.98).contains(&(in_time as f64 / 60.0)), "{in_time} of 60 proved in 30 min");
}

#[test]
fn a_version_at_its_tolerance_is_not_taken_back() {
    let found = runs(TWELVE, &Traffic::default(), &errors(1.15), 40);
    assert!(back(&found) <= 1, "{} of 40 taken back", back(&found));
}

#[test]
fn five_times_the_errors_are_found_as_soon_as_in_the_reference() {
    let (median, late) = detection(&runs(TWELVE, &Traffic::default(), &errors(5.0), 300));
    assert!(median <= 75.0 * 1.1 + TICK && late <= 135.0 * 1.1 + TICK, "{median} s, {late} s");
}

#[test]
fn half_as_slow_again_is_found_as_soon_as_in_the_reference() {
    let slow = Effect { latency: 1.5, ..Effect::default() };
    let (median, late) = detection(&runs(TWELVE, &Traffic::default(), &slow, 300));
    assert!(median <= 45.0 * 1.1 + TICK && late <= 90.0 * 1.1 + TICK, "{median} s, {late} s");
}

#[test]
fn one_request_a_second_is_enough_to_find_twenty_times_the_errors() {
    let traffic = Traffic { requests_per_second: 1.0, ..Traffic::default() };
    let (median, late) = detection(&runs(TWELVE, &traffic, &errors(20.0), 300));
    assert!(median <= 810.0 * 1.1 + TICK && late <= 1755.0 * 1.1 + TICK, "{median} s, {late} s");
}

#[test]
fn the_same_seed_draws_the_same_rollout() {
    let plan = plan(TWELVE);
    let twice = [0, 0].map(|seed| run(&plan, &Traffic::default(), &errors(3.0), seed));
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn a_threshold_looked_at_often_takes_healthy_versions_back_and_evidence_does_not() {
    let text = |method: &str| {
        format!(
            "steps: [{{split: 5, dwell: 1h}}, {{split: 100}}]\nchecks: [{{metric: error_rate, rules: {{max_relative_increase: 2.0}}, {method}}}]\n"
        )
    };
    let threshold =
        runs(&text("method: threshold, failure_limit: 1, window: 1m"), &Traffic::default(), &Effect::default(), 30);
    let evidence = runs(&text("method: sequential, phi: 1"), &Traffic::default(), &Effect::default(), 30);
    assert!(back(&threshold) > 20, "{} of 30", back(&threshold));
    assert_eq!(back(&evidence), 0);
}

#[test]
fn needs_are_told_before_anything_starts() {
    let slow = Traffic { requests_per_second: 3.0, ..Traffic::default() };
    let needs = crate::needs(&plan(TWELVE), &slow);
    let errors =
        needs.iter().find(|need| need.step == 0 && need.metric == "error_rate" && need.requests > 2000.0).unwrap();
    // The 90 % figure of the reference.
    assert_eq!(errors.requests.round(), 2535.0);
    assert!(!errors.is_decidable() && (errors.seconds - 2534.83 / 0.15).abs() < 1.0);
}

#[test]
fn observations_have_the_mean_that_was_said() {
    let plan = plan(TWELVE);
    let (resolved, traffic) = (plan.checks.as_ref().unwrap(), Traffic::default());
    let observed = [("cost_usd", 1.2), ("quality_score", 0.9925)].map(|(name, factor)| (name.to_owned(), factor));
    let effect = Effect { observed: observed.into(), ..Effect::default() };
    let mut chance = rand_pcg::rand_core::SeedableRng::seed_from_u64(1);
    let signals = crate::draw::Arm::new(resolved, &traffic, &[effect], 2e6).draw(&mut chance).signals;
    let mean = |name: &str| match &signals[&SignalName::observation(name)] {
        Signal::Mean { n, s1, s2, .. } => (s1 / n, (s2 / n - (s1 / n).powi(2)).sqrt()),
        other => panic!("{other:?}"),
    };
    let ((cost, cost_sd), (quality, quality_sd)) = (mean("cost_usd"), mean("quality_score"));
    assert!((cost - 0.024).abs() < 1e-4 && (0.021..0.025).contains(&cost_sd), "{cost}, {cost_sd}");
    assert!((quality - 0.85 * 0.9925).abs() < 1e-3 && (quality_sd - 0.12).abs() < 2e-3, "{quality}, {quality_sd}");
}

#[test]
fn values_have_the_mean_that_was_said_however_narrow_or_wide() {
    for (mean, sd) in [(0.85, 0.12), (0.99, 0.001), (0.5, 0.6), (0.7, 0.01), (0.02, 0.02), (4.0, 0.5), (300.0, 0.1)] {
        let cells = crate::cells::value_cells(crate::Items { mean, sd: Some(sd) }, sd, 1.0);
        let found: f64 = cells.iter().map(|(value, share)| value * share).sum();
        assert!((found / mean - 1.0).abs() < 1e-9, "{mean}, {sd}: {found}");
    }
}

/// The failures and requests of both arms in each tick of the first step.
fn counted(traffic: &Traffic, each: impl FnMut(&Tick)) -> Vec<[(f64, f64); 2]> {
    let plan = plan(TWELVE);
    let mut world = World::new(plan.checks.as_ref().unwrap(), traffic, &Effect::default(), 7);
    world.hour();
    world.enter(0, 0.5);
    let ticks: Vec<Tick> = (0..960).map(|_| world.tick()).collect();
    ticks.iter().for_each(each);
    ticks.iter().map(|tick| [&tick.candidate, &tick.stable].map(|arm| failures(&arm[&SignalName::error()]))).collect()
}

fn failures(signal: &Signal) -> (f64, f64) {
    match signal {
        Signal::Count { k, n } => (*k, *n),
        other => panic!("{other:?}"),
    }
}

#[test]
fn weather_is_the_same_in_both_arms() {
    let swing = Effect { errors: 2.0, ..Effect::default() };
    let outage = Effect { errors: 20.0, latency: 2.0, ..Effect::default() };
    let weather = Weather { swing, outage, outages: 0.1 };
    let ticks = counted(&Traffic { weather, ..Traffic::default() }, |_| {});
    let rate = |arm: usize, is_out: bool| {
        let ticks = ticks.iter().filter(|tick| (tick[1].0 / tick[1].1 > 0.06) == is_out);
        let (k, n) = ticks.fold((0.0, 0.0), |(k, n), tick| (k + tick[arm].0, n + tick[arm].1));
        k / n
    };
    for is_out in [false, true] {
        let (candidate, stable) = (rate(0, is_out), rate(1, is_out));
        assert!((candidate / stable - 1.0).abs() < 0.05, "{candidate}, {stable}");
    }
    assert!(rate(0, true) > 0.1 && rate(0, false) < 0.02);
    // Four hours: two waves, and so as many good ticks as bad ones.
    let quarter = |at: usize| ticks[at * 120..(at + 1) * 120].iter().map(|tick| tick[0].0).sum::<f64>();
    assert!((0..8).any(|at| quarter(at) > 2.0 * quarter((at + 2) % 8)));
}

#[test]
fn pods_add_up_to_their_arm_and_have_minutes_of_their_own() {
    let over = |errors_sd: f64, latency_sd: f64| {
        let pods = Some(Pods { requests_per_second: 12.5, errors_sd, latency_sd });
        let (mut x2, mut df) = (0.0, 0.0);
        counted(&Traffic { pods, ..Traffic::default() }, |tick| {
            let series = &tick.stable_series[&SignalName::error()];
            assert_eq!((series.len(), tick.stable_series.len()), (4, 2));
            let (k, n) = failures(&tick.stable[&SignalName::error()]);
            let pods: Vec<(f64, f64)> = series.values().map(failures).collect();
            assert_eq!(pods.iter().fold((0.0, 0.0), |sum, pod| (sum.0 + pod.0, sum.1 + pod.1)), (k, n));
            if k > 0.0 {
                x2 += pods.iter().map(|pod| (pod.0 - k * pod.1 / n).powi(2) / (k * pod.1 / n)).sum::<f64>();
                df += 3.0;
            }
        });
        x2 / df
    };
    let (alike, clumped) = (over(0.0, 0.0), over(0.5, 0.05));
    // Some two failures a tick and pod, and a variance of a quarter of their square more.
    assert!((0.9..1.1).contains(&alike) && (1.3..1.7).contains(&clumped), "{alike}, {clumped}");
}
