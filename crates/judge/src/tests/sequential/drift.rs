//! Users who get another share of the candidate than was asked for.

use crate::settings::Settings;
use crate::tests::build::{check, step};
use crate::verdict::{Decision, Outcome, Reason};
use crate::{Signal, SignalName, Signals, State, Tick, deciding, judge, render, resolve};

#[test]
fn users_who_get_another_share_hold_the_step_and_take_nobody_back() {
    let shares = |got: f64, all: f64| {
        let sessions = |n: f64| Signals::from([(SignalName::new_sessions(), Signal::Count { k: 0.0, n })]);
        (sessions(got), sessions(all - got))
    };
    let checks = [check("error_rate", "gte", "0.10")];
    let resolved = resolve(&checks, &Settings::default(), &[step(300), step(300)]).unwrap();
    let verdict_after = |got: f64, steps: &[u32]| {
        let mut state = State::default();
        let mut last = None;
        for (at, step) in (0u32..).zip(steps) {
            let (candidate, stable) = shares(got, 1500.0);
            let elapsed_ms = 60_000 + i64::from(at) * 15_000;
            let tick = Tick {
                step: *step,
                tick: u64::from(at) + 1,
                elapsed_ms,
                stable_planned: true,
                candidate,
                stable,
                ..Tick::default()
            };
            let (next, verdict) = judge(&resolved, state, &[tick]);
            state = next;
            last = Some(verdict);
        }
        last.unwrap()
    };
    // 5 % was asked for.
    let right = verdict_after(75.0, &[0, 0, 0, 0]);
    assert_eq!(right.split.unwrap().observed_bp, 500);
    assert_ne!(right.reason, Some(Reason::SplitDrift));
    let wrong = verdict_after(39.0, &[0]);
    assert_eq!((wrong.result, wrong.reason, wrong.action), (Outcome::Error, Some(Reason::SplitDrift), Decision::Hold));
    let issues = render(&resolved, &wrong);
    assert!(issues[0].starts_with("2.6 % of new sessions get the candidate and not 5 %: evidence "), "{issues:?}");
    assert_eq!(deciding(&wrong, &issues), Some(issues[0].as_str()));
    // Long after its time it still holds: nobody goes back for it.
    assert_eq!(verdict_after(39.0, &[0; 100]).action, Decision::Hold);
    // Whoever goes on begins with nothing.
    let next = verdict_after(75.0, &[0, 1]);
    assert_ne!(next.reason, Some(Reason::SplitDrift));
}
