//! Users who get another share of the candidate than was asked for.

use std::collections::BTreeSet;

use crate::sequential::split_drift::SplitDrift;
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
    let verdict_after = |got: &[f64], steps: &[u32]| {
        let mut state = State::default();
        let mut last = None;
        for (at, step) in (0u32..).zip(steps) {
            let (candidate, stable) = shares(got[*step as usize], 1500.0);
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
    let right = verdict_after(&[75.0], &[0, 0, 0, 0]);
    assert_eq!(right.split.unwrap().observed_bp, 500);
    assert_ne!(right.reason, Some(Reason::SplitDrift));
    let wrong = verdict_after(&[39.0], &[0]);
    assert_eq!((wrong.result, wrong.reason, wrong.action), (Outcome::Error, Some(Reason::SplitDrift), Decision::Hold));
    let issues = render(&resolved, &wrong);
    assert!(issues[0].starts_with("2.6 % of new sessions get the candidate and not 5 %: evidence "), "{issues:?}");
    assert_eq!(deciding(&wrong, &issues), Some(issues[0].as_str()));
    // Long after its time it still holds: nobody goes back for it.
    assert_eq!(verdict_after(&[39.0], &[0; 100]).action, Decision::Hold);
    // Whoever goes on begins with nothing.
    let next = verdict_after(&[39.0, 75.0], &[0, 1]);
    assert_ne!(next.reason, Some(Reason::SplitDrift));
}

/// Numbers that look drawn, the same in each run (Steele, Lea, Flood 2014).
fn drawn(seed: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The users of a rollout and the routers in front of them.
struct Users {
    /// How many there are; each keeps its bucket and comes again and again.
    sessions: u64,
    /// Whether the three routers are replaced in each step: each calls a session new once.
    are_routers_replaced: bool,
    /// What the candidate gets of the share that is asked for.
    gets: f64,
}

/// Whether a rollout raises an alarm.
fn is_alarmed(rollout: u64, users: &Users) -> bool {
    let (mut drift, mut boots) = (SplitDrift::default(), vec![BTreeSet::new(); 3]);
    let mut t = 0;
    for (step, asked) in [0.05, 0.25, 0.5].into_iter().enumerate() {
        drift.enter_step();
        if users.are_routers_replaced && step > 0 {
            boots.extend(vec![BTreeSet::new(); 3]);
        }
        for _ in 0..20 {
            t += 1;
            drift.hear(u32::try_from(boots.len()).unwrap());
            let (mut got, mut all) = (0.0, 0.0);
            for request in 0..60 {
                let chance = drawn(rollout << 32 | t << 12 | request);
                let session = chance % users.sessions;
                let bucket = (drawn(rollout << 20 | session) % 10_000) as f64 / 10_000.0;
                let last = boots.len() - 1;
                if boots[last - usize::try_from((chance >> 32) % 3).unwrap()].insert(session) {
                    all += 1.0;
                    got += f64::from(u8::from(bucket < asked * users.gets));
                }
            }
            drift.learn((got, all), asked, boots.len() as f64, t);
            if drift.is_alarm(1) {
                return true;
            }
        }
    }
    false
}

fn alarms(users: &Users) -> usize {
    (0..300).filter(|rollout| is_alarmed(*rollout, users)).count()
}

#[test]
fn long_lived_sessions_behind_routers_that_are_replaced_raise_no_false_alarm() {
    for sessions in [100, 400, 100_000] {
        for are_routers_replaced in [false, true] {
            let users = Users { sessions, are_routers_replaced, gets: 1.0 };
            assert_eq!(alarms(&users), 0, "{sessions} sessions of 300 rollouts, replaced: {are_routers_replaced}");
        }
    }
}

#[test]
fn a_candidate_that_gets_half_of_its_share_is_noticed_behind_three_routers() {
    let found = alarms(&Users { sessions: 100_000, are_routers_replaced: false, gets: 0.5 });
    assert!(found > 290, "{found} of 300");
}
