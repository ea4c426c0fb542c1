//! One rollout, tick by tick, decided by the judge.

use judge::{Decision, Reason, Resolved, State, Tick, rule, seed};
use rollout::Plan;

use crate::traffic::{Effect, Traffic};
use crate::world::World;

/// A rollout that waits for a person, or for ever, is given up after this many times its dwell and budget.
const PATIENCE: i64 = 2;

/// How a simulated rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The candidate has everything.
    Completed,
    /// It was taken back on evidence.
    RolledBack,
    /// It was taken back because a step could not be decided in time.
    Undecided,
    /// A person is asked, or it waits.
    Waits,
}

/// What became of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// How it ended.
    pub end: End,
    /// Index of its last step.
    pub step: usize,
    /// Seconds from its first split to its end.
    pub seconds: f64,
    /// Seconds that each finished step took.
    pub steps: Vec<f64>,
}

/// One rollout of a plan whose candidate differs by `effect`; the same seed draws the same.
#[must_use]
pub fn run(plan: &Plan, traffic: &Traffic, effect: &Effect, number: u64) -> Simulated {
    let mut simulated = Simulated { end: End::Completed, step: 0, seconds: 0.0, steps: Vec::new() };
    let Some(resolved) = &plan.checks else { return simulated };
    let mut world = World::new(resolved, traffic, effect, number);
    let mut state = seed(resolved, &world.hour());
    for (at, step) in plan.steps.iter().enumerate() {
        simulated.step = at;
        if !step.judged {
            simulated.seconds += seconds(step.dwell.ms());
            simulated.steps.push(seconds(step.dwell.ms()));
            continue;
        }
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        world.enter(index, f64::from(step.split.candidates().basis_points()) / f64::from(rollout::WHOLE));
        let (end, elapsed_ms) = run_step(resolved, index, &mut state, &mut world);
        simulated.seconds += seconds(elapsed_ms);
        if let Some(end) = end {
            return Simulated { end, ..simulated };
        }
        simulated.steps.push(seconds(elapsed_ms));
    }
    simulated
}

/// Runs a step until it is left, and for how long that took; without an end the next one follows.
fn run_step(resolved: &Resolved, index: u32, state: &mut State, world: &mut World<'_>) -> (Option<End>, i64) {
    let step = resolved.step(index);
    let limit = PATIENCE * (step.dwell.ms() + step.budget.ms()) + resolved.tick.ms();
    let keeps_ticks = resolved.longest_window().is_some();
    let mut ticks: Vec<Tick> = Vec::new();
    let mut elapsed_ms = 0;
    while elapsed_ms < limit {
        if !keeps_ticks {
            ticks.clear();
        }
        let tick = world.tick();
        elapsed_ms = tick.elapsed_ms;
        ticks.push(tick);
        let ruling = rule(resolved, state, &ticks);
        match ruling.action {
            Decision::Advance => return (None, elapsed_ms),
            Decision::Rollback if ruling.reason == Some(Reason::Inconclusive) => {
                return (Some(End::Undecided), elapsed_ms);
            }
            Decision::Rollback => return (Some(End::RolledBack), elapsed_ms),
            Decision::Gate => return (Some(End::Waits), elapsed_ms),
            Decision::Wait | Decision::Hold | Decision::Extend => {}
        }
    }
    (Some(End::Waits), elapsed_ms)
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
