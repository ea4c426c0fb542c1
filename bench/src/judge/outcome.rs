//! What became of simulated rollouts, method by method.

use judge::Tick;
use rollout::WHOLE;
use simulate::World;

use super::method::{METHODS, Policies, Said};
use super::scenario::Scenario;

/// Steps that are judged.
pub(super) const STEPS: usize = 3;

/// One rollout.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Outcome {
    /// After how many seconds each method takes the candidate back, if it does.
    pub(super) back: [Option<f64>; METHODS.len()],
    /// After how many seconds of each step our method has proved it healthy, if it has by the end of the dwell.
    pub(super) proved: [Option<f64>; STEPS],
}

/// One rollout of the plan, step by step at the times that it states, whatever the methods think: the first so many of them judge
/// the same ticks.
pub(super) fn follow(policies: &Policies, scenario: &Scenario, number: u64, first: usize) -> Outcome {
    let mut world = World::new(&policies.evidence, &scenario.traffic, &scenario.effect, number);
    let mut methods = policies.methods(&world.hour());
    let mut outcome = Outcome::default();
    let mut before_ms = 0;
    for (at, (index, step)) in (0..).zip(&policies.plan.steps).filter(|(_, step)| step.judged).enumerate() {
        world.enter(index, f64::from(step.split.candidates().basis_points()) / f64::from(WHOLE));
        let mut ticks: Vec<Tick> = Vec::new();
        let mut elapsed_ms = 0;
        while elapsed_ms < step.dwell.ms() {
            ticks.push(world.tick());
            elapsed_ms += policies.evidence.tick.ms();
            let undecided = methods.iter_mut().zip(&mut outcome.back).take(first).filter(|(_, back)| back.is_none());
            for (method, back) in undecided {
                match method.judge(&ticks, elapsed_ms >= step.dwell.ms()) {
                    Said::Back => *back = Some(seconds(before_ms + elapsed_ms)),
                    Said::Proved => _ = outcome.proved[at].get_or_insert(seconds(elapsed_ms)),
                    Said::Nothing => {}
                }
            }
            if outcome.back.iter().take(first).all(Option::is_some) {
                return outcome;
            }
        }
        before_ms += elapsed_ms;
    }
    outcome
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
