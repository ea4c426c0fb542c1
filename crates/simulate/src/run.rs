//! One rollout, tick by tick, decided by the judge.

use judge::{Decision, Reason, Resolved, State, Tick, rule, seed};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng as _;
use rollout::Plan;

use crate::draw::Arm;
use crate::traffic::{Effect, Traffic};

/// How much of stable's past is known when a rollout starts.
const HOUR_MS: i64 = 3_600_000;

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
    let mut chance = Pcg64Mcg::seed_from_u64(number);
    let mut state = seed(resolved, &past(resolved, traffic, &mut chance));
    let mut number = 0;
    for (at, step) in plan.steps.iter().enumerate() {
        simulated.step = at;
        if !step.judged {
            simulated.seconds += seconds(step.dwell.ms());
            simulated.steps.push(seconds(step.dwell.ms()));
            continue;
        }
        let share = f64::from(step.split.candidates().basis_points()) / f64::from(rollout::WHOLE);
        let per_tick = traffic.requests_per_second * seconds(resolved.tick.ms());
        let candidate = Arm::new(resolved, traffic, effect, per_tick * share);
        let stable = Arm::new(resolved, traffic, &Effect::default(), per_tick * (1.0 - share));
        let mut world = World { resolved, arms: [candidate, stable], is_alone: share >= 1.0 };
        let (end, elapsed_ms) = world.step(at, &mut state, &mut number, &mut chance);
        simulated.seconds += seconds(elapsed_ms);
        if let Some(end) = end {
            return Simulated { end, ..simulated };
        }
        simulated.steps.push(seconds(elapsed_ms));
    }
    simulated
}

struct World<'a> {
    resolved: &'a Resolved,
    arms: [Arm; 2],
    is_alone: bool,
}

impl World<'_> {
    /// Runs a step until it is left, and for how long that took; without an end the next one follows.
    fn step(&mut self, at: usize, state: &mut State, number: &mut u64, chance: &mut Pcg64Mcg) -> (Option<End>, i64) {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let step = self.resolved.step(index);
        let tick_ms = self.resolved.tick.ms().max(1);
        let limit = PATIENCE * (step.dwell.ms() + step.budget.ms()) + tick_ms;
        let keeps_ticks = self.resolved.longest_window().is_some();
        let mut ticks: Vec<Tick> = Vec::new();
        let mut elapsed_ms = 0;
        while elapsed_ms < limit {
            elapsed_ms += tick_ms;
            *number += 1;
            if !keeps_ticks {
                ticks.clear();
            }
            ticks.push(Tick {
                step: index,
                tick: *number,
                elapsed_ms,
                warmup: elapsed_ms - tick_ms < step.warmup.ms(),
                stable_planned: !self.is_alone,
                candidate: self.arms[0].draw(chance),
                stable: self.arms[1].draw(chance),
                ..Tick::default()
            });
            let ruling = rule(self.resolved, state, &ticks);
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
}

/// Stable alone, in the hour before.
fn past(resolved: &Resolved, traffic: &Traffic, chance: &mut Pcg64Mcg) -> Vec<Tick> {
    let stable = Arm::new(resolved, traffic, &Effect::default(), traffic.requests_per_second * 60.0);
    let minutes = if resolved.sequential.gates.is_empty() { 0 } else { HOUR_MS / 60_000 };
    let tick = |_| Tick { stable_planned: true, stable: stable.draw(chance), ..Tick::default() };
    (0..minutes).map(tick).collect()
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
