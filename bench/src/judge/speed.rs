//! How fast the judge is: one tick of twelve gates, a rollout of 840, and a thousand simulated rollouts.

use std::hint::black_box;
use std::time::Instant;

use ::judge::sequential::power::{Expected, Goal, samples};
use ::judge::{State, Tick, rule, seed};
use anyhow::Context as _;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng as _;
use rollout::{Plan, Policy};
use simulate::draw::Arm;
use simulate::{Effect, Traffic, run};

use crate::figure::Figure;

/// Ticks of a rollout of 3.5 hours, one each 15 s.
const TICKS: u32 = 840;
const TICK_SECONDS: f64 = 15.0;

/// Rollouts that are simulated, half of them of a bad version.
const ROLLOUTS: u64 = 1_000;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let plan = Policy::from_yaml(include_str!("../../../crates/simulate/twelve.yaml"))?.plan()?;
    Ok([ticks(&plan)?, vec![power(), thousand()?]].concat())
}

/// The fold of a whole rollout, and each of its ticks.
fn ticks(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let resolved = plan.checks.as_ref().context("no checks")?;
    let (traffic, same) = (Traffic::default(), Effect::default());
    let per_tick = traffic.requests_per_second * TICK_SECONDS;
    let arms = [0.05, 0.95].map(|share| Arm::new(resolved, &traffic, std::slice::from_ref(&same), per_tick * share));
    let mut chance = Pcg64Mcg::seed_from_u64(1);
    let ledger: Vec<Tick> = (1..=TICKS)
        .map(|number| Tick {
            tick: number.into(),
            elapsed_ms: i64::from(number) * 15_000,
            stable_planned: true,
            candidate: arms[0].draw(&mut chance).signals,
            stable: arms[1].draw(&mut chance).signals,
            ..Tick::default()
        })
        .collect();
    let mut state: State = seed(resolved, &[]);
    let mut nanoseconds = Vec::new();
    let whole = Instant::now();
    for tick in &ledger {
        let began = Instant::now();
        black_box(rule(resolved, &mut state, std::slice::from_ref(tick)));
        nanoseconds.push(began.elapsed().as_secs_f64() * 1e9);
    }
    let fold_ms = whole.elapsed().as_secs_f64() * 1e3;
    nanoseconds.sort_by(f64::total_cmp);
    let (p50, p99) = (nanoseconds[nanoseconds.len() / 2], nanoseconds[nanoseconds.len() * 99 / 100]);
    Ok(vec![
        figure("judge: a tick of 12 gates, p50", format!("{p50:.0} ns"), "<= 10,000 ns", p50 <= 10_000.0),
        figure("judge: a tick of 12 gates, p99", format!("{p99:.0} ns"), "<= 50,000 ns", p99 <= 50_000.0),
        figure("judge: the fold of 840 ticks", format!("{fold_ms:.1} ms"), "<= 25 ms", fold_ms <= 25.0),
    ])
}

/// How many samples one gate needs.
fn power() -> Figure {
    const TIMES: u32 = 20_000;
    let expected = Expected::Ratio { p: 0.01, effect: 1.0, rho: 2.0, share: 0.05 };
    let began = Instant::now();
    for _ in 0..TIMES {
        black_box(samples(Goal::Accept { beta: 0.05 }, black_box(&expected), 1.0));
    }
    let each = began.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES);
    figure("judge: how many samples one gate needs", format!("{each:.0} ns"), "<= 5,000 ns", each <= 5_000.0)
}

/// What `tidegate simulate agent-default` does, on one processor.
fn thousand() -> anyhow::Result<Figure> {
    let plan = Policy::from_yaml(Policy::preset("agent-default").context("no preset")?)?.plan()?;
    let traffic = Traffic::default();
    let bad = Effect { errors: 5.0, ..Effect::default() };
    let began = Instant::now();
    for number in 0..ROLLOUTS {
        let effect = if number % 2 == 0 { &Effect::default() } else { &bad };
        black_box(run(&plan, &traffic, effect, number));
    }
    let seconds = began.elapsed().as_secs_f64() / 2.0;
    Ok(figure("1,000 simulated rollouts on two processors", format!("{seconds:.1} s"), "<= 5 s", seconds <= 5.0))
}

fn figure(what: &'static str, ours: String, target: &'static str, is_met: bool) -> Figure {
    Figure { what, ours, floor: "-".to_owned(), ratio: "-".to_owned(), target, is_met }
}
