//! A2, A3 and A5 of the design, as quick sets: seeds are fixed, so nothing here is luck.

use rollout::{Plan, Policy};

use crate::{Effect, End, Simulated, Traffic, run};

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
    let effect = Effect { observed: [("cost_usd".to_owned(), 1.2)].into(), ..Effect::default() };
    let mut chance = rand_pcg::rand_core::SeedableRng::seed_from_u64(1);
    let signals = crate::draw::Arm::new(resolved, &traffic, &effect, 2e6).draw(&mut chance);
    let mean = |name: &str| match &signals[&judge::SignalName::observation(name)] {
        judge::Signal::Mean { n, s1, .. } => s1 / n,
        other => panic!("{other:?}"),
    };
    assert!((mean("cost_usd") - 0.024).abs() < 1e-4, "{}", mean("cost_usd"));
    assert!((mean("quality_score") - 0.85).abs() < 2e-3, "{}", mean("quality_score"));
}
