use proptest::prelude::*;
use serde_json::json;

use super::{Caps, cap};
use crate::tests::{deep_check, step};
use crate::{
    Method, Outcome, Reason, Resolved, Settings, Signal, SignalName, Signals, Span, Spread, State, Tick, judge, resolve,
};

fn tokens() -> SignalName {
    SignalName::observation("tokens")
}

/// A limit of 100, and 1.5 times stable.
fn policy() -> Resolved {
    let check = json!({"metric": "avg_tokens", "rules": {"max_absolute": 100, "max_relative_increase": 1.5}});
    let settings = Settings { warmup: Some(Span(0)), ..Settings::default() };
    resolve(&[deep_check(check)], &settings, &[step(3600)]).unwrap()
}

/// Values as routers count them: their sums, and by size.
fn counted(values: &[f64]) -> Signals {
    let mut spread = Spread::default();
    values.iter().for_each(|value| spread.observe(*value));
    Signals::from([(tokens(), sums(values, None)), (SignalName::spread("tokens"), Signal::Spread { values: spread })])
}

fn sums(values: &[f64], cap: Option<f64>) -> Signal {
    let cut = |value: &f64| cap.map_or(*value, |cap| value.clamp(0.0, cap));
    let (s1, s2) = values.iter().map(cut).fold((0.0, 0.0), |(s1, s2), x| (s1 + x, s2 + x * x));
    Signal::Mean { n: values.len() as f64, s1, s2, cap }
}

/// Half a hundred values around 40.
fn usual(at: u64) -> Vec<f64> {
    (0..50).map(|item| 30.0 + ((item * 7 + at * 3) % 21) as f64).collect()
}

#[test]
fn a_cap_is_ten_means_or_two_limits_at_the_next_power_of_two() {
    let caps = [cap(40.0, 100.0, 0.0), cap(0.02, 0.1, 0.0), cap(0.02, 0.5, 0.0), cap(0.02, 0.1, 3.0)];
    assert_eq!(caps, [Some(512.0), Some(0.25), Some(1.0), Some(4.0)]);
    assert_eq!((cap(1e-15, 0.0, 0.0), cap(1e17, 0.0, 0.0)), (Some(1.0 / f64::from(1 << 30)), None));
}

#[test]
fn whoever_else_reads_the_values_finds_them_whole() {
    let checks = [
        json!({"metric": "made_up", "rules": {"max_absolute": 0.05}}),
        json!({"metric": "made_up_rate", "rules": {"max_absolute": 0.05}}),
    ]
    .map(deep_check);
    let made_up = SignalName::observation("made_up");
    let of = |checks: &[_]| resolve(checks, &Settings::default(), &[step(60)]).unwrap().cap_of(&made_up, 0.01, 0.0001);
    // Half of a lie would be no event.
    assert_eq!((of(&checks[..1]), of(&checks), of(&checks[1..])), (Some(0.125), Some(1.0), None));
}

#[test]
fn a_mean_without_a_bound_is_judged_sequentially_unless_it_may_be_negative_or_a_store_has_it() {
    let resolved = policy();
    assert_eq!(resolved.checks[0].method, Method::Sequential);
    assert_eq!(resolved.uncapped().collect::<Vec<_>>(), [&tokens()]);
    assert!(
        resolved.notes[0].starts_with("checks[0]: hi: values are cut at 0 and at ten times"),
        "{:?}",
        resolved.notes
    );
    for check in [
        json!({"metric": "reward", "rules": {"gt": 1}, "lo": -1}),
        json!({"metric": "x", "rules": {"gt": 1}, "query": {"sum": "a{v=\"{version}\"}", "count": "b{v=\"{version}\"}"}}),
    ] {
        let resolved = resolve(&[deep_check(check)], &Settings::default(), &[step(60)]).unwrap();
        assert_eq!((resolved.checks[0].method, resolved.uncapped().count()), (Method::Threshold, 0));
    }
}

#[test]
fn the_hour_before_fixes_the_cap_and_both_arms_are_cut_at_it() {
    let hour = [Tick { stable: Signals::from([(tokens(), sums(&usual(1), None))]), ..Tick::default() }];
    let mut caps = Caps::of(&policy(), &hour);
    let (mut candidate, mut stable) = (counted(&[40.0, 9000.0, -5.0, 0.0]), counted(&usual(2)));
    caps.close(&policy(), &mut candidate, &mut stable);
    assert_eq!(candidate, Signals::from([(tokens(), sums(&[40.0, 9000.0, -5.0, 0.0], Some(512.0)))]));
    assert_eq!(stable, Signals::from([(tokens(), sums(&usual(2), Some(512.0)))]));
    // Who doesn't count by size is not read any more.
    let mut candidate = Signals::from([(tokens(), sums(&[1.0], None))]);
    caps.close(&policy(), &mut candidate, &mut Signals::new());
    assert_eq!(candidate, Signals::new());
}

#[test]
fn without_an_hour_before_the_first_values_of_stable_fix_the_cap_for_those_that_follow() {
    let mut caps = Caps::of(&policy(), &[]);
    let (mut candidate, mut stable) = (counted(&usual(1)), counted(&usual(1)[..19]));
    caps.close(&policy(), &mut candidate, &mut stable);
    assert_eq!(candidate, Signals::from([(tokens(), sums(&usual(1), None))]));
    let mut again: Caps = serde_json::from_str(&serde_json::to_string(&caps).unwrap()).unwrap();
    again.close(&policy(), &mut Signals::new(), &mut counted(&[40.0]));
    let mut candidate = counted(&[600.0]);
    again.close(&policy(), &mut candidate, &mut Signals::new());
    assert_eq!(candidate, Signals::from([(tokens(), sums(&[600.0], Some(512.0)))]));
}

#[test]
fn rare_large_values_stay_whole_and_the_first_ones_too() {
    let check = deep_check(json!({"metric": "violations", "rules": {"max_absolute": 0.01}}));
    let resolved = resolve(&[check], &Settings::default(), &[step(60)]).unwrap();
    let violations = SignalName::observation("violations");
    // One in a thousand is a 1, or a 100; or none was seen yet.
    let caps = [(0.001, 0.001), (0.1, 10.0), (0.0, 0.0)].map(|(m, m2)| resolved.cap_of(&violations, m, m2));
    assert_eq!(caps, [Some(1.0), Some(128.0), Some(1.0)]);
}

#[test]
fn an_analysis_of_an_older_release_learns_its_caps_from_then_on() {
    let mut caps = Caps::default();
    caps.close(&policy(), &mut Signals::new(), &mut counted(&usual(1)));
    let mut candidate = counted(&[600.0]);
    caps.close(&policy(), &mut candidate, &mut Signals::new());
    assert_eq!(candidate, Signals::from([(tokens(), sums(&[600.0], Some(512.0)))]));
}

#[test]
fn a_limit_that_no_value_can_be_below_is_a_threshold() {
    for rules in [json!({"gt": 0}), json!({"lt": -0.5})] {
        let check = deep_check(json!({"metric": "violations", "rules": rules}));
        let resolved = resolve(&[check], &Settings::default(), &[step(60)]).unwrap();
        assert_eq!(resolved.checks[0].method, Method::Threshold);
        let why = "is not above 0, the least value that can be (`lo`)";
        assert!(resolved.notes[0].contains(why), "{:?}", resolved.notes);
    }
    let both = [
        json!({"metric": "reward", "rules": {"lt": 0.2}, "lo": -1, "hi": 1}),
        json!({"metric": "avg_reward", "rules": {"gt": 5}}),
    ];
    let refused = resolve(&both.map(deep_check), &Settings::default(), &[step(60)]).unwrap_err();
    assert_eq!(refused[0].path, "checks[1].hi", "{refused:?}");
}

/// Folds ticks of these values through the caps, with nothing known before.
fn judged(candidate: impl Fn(u64) -> Vec<f64>, ticks: u64) -> Vec<crate::Verdict> {
    let (resolved, mut state) = (policy(), State::default());
    let mut caps = Caps::of(&resolved, &[]);
    let mut verdicts = Vec::new();
    for at in 1..=ticks {
        let (mut candidate, mut stable) = (counted(&candidate(at)), counted(&usual(at)));
        caps.close(&resolved, &mut candidate, &mut stable);
        let tick = crate::tests::tick(at, i64::try_from(at).unwrap() * 15, candidate, stable);
        let (next, verdict) = judge(&resolved, state, &[tick]);
        state = next;
        verdicts.push(verdict);
    }
    verdicts
}

#[test]
fn a_mean_without_a_bound_is_neutral_until_it_has_one_and_then_decides() {
    let healthy = judged(|at| usual(at + 1), 120);
    assert_eq!(healthy[0].checks[0].reason, Some(Reason::NoBound), "{:?}", healthy[0].checks[0]);
    let last = healthy.last().unwrap();
    assert_eq!(last.result, Outcome::Pass, "{last:#?}");
    assert!((last.checks[1].value.unwrap() - 40.0).abs() < 1.0, "{:?}", last.checks[1]);
    // One answer in fifty with a hundred times as many tokens: more than twice the mean, and one of them alone is no proof.
    let dear = |at: u64| if at == 9 { [&usual(at)[1..], &[4000.0]].concat() } else { usual(at) };
    assert_eq!(judged(dear, 120).last().unwrap().result, Outcome::Pass);
    let dearer = judged(|at| usual(at).iter().map(|value| value * 1.8).collect(), 60);
    assert_eq!(dearer.last().unwrap().result, Outcome::Breach, "{:#?}", dearer.last());
}

proptest! {
    #[test]
    fn sums_by_size_are_cut_as_each_value_would_be(values in prop::collection::vec(prop_oneof![-1e3..1e3_f64, 0.0..1e15_f64, 0.0..1e-6_f64], 0..40), above in 1e-8..1e15_f64) {
        let mut spread = Spread::default();
        values.iter().for_each(|value| spread.observe(*value));
        let cap = Spread::bound(above).unwrap();
        prop_assert!(cap >= above && cap <= 2.0 * above, "{cap} for {above}");
        let (Signal::Mean { n, s1, s2, .. }, Signal::Mean { n: n_each, s1: s1_each, s2: s2_each, .. }) =
            (spread.cut(cap), sums(&values, Some(cap))) else { panic!("these are sums") };
        prop_assert_eq!(n, n_each);
        prop_assert!((s1 - s1_each).abs() <= 1e-9 * s1_each && (s2 - s2_each).abs() <= 1e-9 * s2_each);
    }

    #[test]
    fn what_was_counted_since_is_what_was_added(values in prop::collection::vec(0.0..1e6_f64, 2..40), at in 0..40_usize) {
        let at = at % values.len();
        let of = |values: &[f64]| {
            let mut spread = Spread::default();
            values.iter().for_each(|value| spread.observe(*value));
            spread
        };
        let (before, all) = (of(&values[..at]), of(&values));
        let since = all.since(&before).unwrap();
        prop_assert_eq!(since.total(), (values.len() - at) as f64);
        prop_assert!(at == 0 || before.since(&all).is_none());
        prop_assert_eq!(all.since(&all), Some(Spread::default()));
        let mut again = before;
        again.add(&since);
        prop_assert_eq!(again.total(), all.total());
    }
}
