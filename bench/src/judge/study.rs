//! How often each method is right: healthy versions that it takes back, and how soon it takes back bad ones.
//!
//! Every rollout is drawn once and judged by all methods, tick by tick.

use std::num::NonZero;
use std::path::Path;
use std::time::Instant;

use simulate::{End, run};

use super::method::{METHODS, Policies};
use super::outcome::{Outcome, follow};
use super::scenario::{Scenario, Truth, scenarios};
use super::{acceptance, plot, tables};
use crate::figure::{Figure, quantile, say};

/// Of bad versions, of other methods, and of what is asked beside false alarms, no more rollouts than the reference has: they tell no
/// small shares.
const RUNS_MAX: u64 = 1_000;

/// One scenario with what came out.
#[derive(Debug)]
pub(super) struct Studied {
    pub(super) scenario: Scenario,
    pub(super) outcomes: Vec<Outcome>,
    /// The share of healthy versions that our method promoted, each step extended as long as its budget lets it.
    pub(super) promoted: Option<f64>,
}

pub(super) fn measure(runs: u64, plot: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let policies = Policies::read()?;
    let few = runs.min(RUNS_MAX);
    say(&format!("{runs} rollouts of each healthy version and {few} of each bad one, with the seeds from 0 on"));
    let studied: Vec<Studied> = scenarios().into_iter().map(|scenario| study(&policies, scenario, runs)).collect();
    tables::print(&studied);
    if let Some(file) = plot {
        plot::save(&studied, file)?;
        say(&format!("drew {}", file.display()));
    }
    Ok(acceptance::figures(&studied))
}

fn study(policies: &Policies, scenario: Scenario, runs: u64) -> Studied {
    let began = Instant::now();
    let is_healthy = matches!(scenario.truth, Truth::Healthy { .. });
    let few = runs.min(RUNS_MAX);
    let outcomes = on_all_processors(if is_healthy { runs } else { few }, |number| {
        follow(policies, &scenario, number, if number < few { METHODS.len() } else { 1 })
    });
    let promoted = is_healthy.then(|| {
        let ends = on_all_processors(few, |number| run(&policies.plan, &scenario.traffic, &scenario.effect, number));
        share(ends.iter().filter(|one| one.end == End::Completed).count(), ends.len())
    });
    let studied = Studied { scenario, outcomes, promoted };
    let back: Vec<String> = (0..METHODS.len()).map(|method| studied.back(method).to_string()).collect();
    let (name, of, seconds) = (studied.scenario.name, studied.outcomes.len(), began.elapsed().as_secs_f64());
    say(&format!("{name}: {} of {of} taken back, in {seconds:.0} s", back.join(", ")));
    studied
}

/// What becomes of each number, in their order.
fn on_all_processors<T: Send>(count: u64, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let part = |worker: usize| (0..count).skip(worker).step_by(workers).map(&of).collect::<Vec<T>>();
    let mut parts: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || part(worker))).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<T>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).into_iter()
        };
        workers.into_iter().map(join).collect()
    });
    (0..count).zip((0..workers).cycle()).filter_map(|(_, worker)| parts[worker].next()).collect()
}

impl Studied {
    /// The rollouts that a method judged: ours, which comes first, all of them.
    pub(super) fn judged(&self, method: usize) -> &[Outcome] {
        let few = usize::try_from(RUNS_MAX).unwrap_or(usize::MAX);
        if method == 0 { &self.outcomes } else { &self.outcomes[..self.outcomes.len().min(few)] }
    }

    /// How many rollouts a method took back.
    pub(super) fn back(&self, method: usize) -> usize {
        self.judged(method).iter().filter(|one| one.back[method].is_some()).count()
    }

    /// The seconds until a method took a rollout back, at a quantile; those that it did not count as never.
    pub(super) fn seconds(&self, method: usize, at: f64) -> f64 {
        let seconds = |one: &Outcome| one.back[method].unwrap_or(f64::INFINITY);
        quantile(&self.judged(method).iter().map(seconds).collect::<Vec<_>>(), at)
    }

    /// The share of rollouts in which a step proved the candidate healthy, and the median of the seconds that took.
    pub(super) fn proved(&self, step: usize) -> (f64, f64) {
        let seconds = |one: &Outcome| one.proved[step].unwrap_or(f64::INFINITY);
        let seconds: Vec<f64> = self.outcomes.iter().map(seconds).collect();
        let count = seconds.iter().filter(|seconds| seconds.is_finite()).count();
        (share(count, seconds.len()), quantile(&seconds, 0.5))
    }
}

pub(super) fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}
