//! `tidegate simulate`: rollouts that did not happen, of a healthy version and of a bad one, as a table and a small chart.

use std::num::NonZero;

use ::simulate::{Effect, End, Simulated, Traffic, at_most, needs, quantile, run};
use anyhow::{Context as _, bail};
use judge::Resolved;
use rollout::Plan;
use serde_json::json;

use crate::arguments::{Output, SimulateArguments};
use crate::exit::Exit;
use crate::lint;
use crate::screen::{Screen, Table, Tone};
use crate::words::{lasting, or_dash, percent};

mod chart;

/// Requests a second where nobody says how many.
const RATE: f64 = 100.0;

/// Rollouts of one kind of candidate, and what they came to.
struct Runs {
    told: &'static str,
    all: Vec<Simulated>,
}

pub(crate) fn run_simulation(screen: Screen, asked: &SimulateArguments) -> anyhow::Result<Exit> {
    let plan = lint::plan_of(&asked.policy)?;
    let checks =
        plan.checks.as_ref().context("the policy has no checks: nothing is judged, so nothing can be simulated")?;
    let traffic = asked.assumed.traffic(RATE).map_err(anyhow::Error::msg)?;
    known(checks, &traffic, &asked.effect)?;
    let count = asked.rollouts.div_ceil(2);
    let kinds = [("healthy", Effect::default()), ("bad", asked.effect.clone())];
    let runs = kinds.map(|(told, effect)| Runs { told, all: rollouts(&plan, &traffic, &effect, (asked.seed, count)) });
    if asked.shown.output == Output::Json {
        screen.json(&report(&plan, &traffic, &runs))?;
        return Ok(Exit::Done);
    }
    let queries = checks.queries().count();
    screen.line(screen.paint(Tone::Strong, &assumed(&plan, &traffic, asked)))?;
    if queries > 0 {
        screen.line(format!(
            "note: {queries} checks ask Prometheus, of which nothing is known here: they have no data"
        ))?;
    }
    screen.line("")?;
    screen.line(table(&runs))?;
    screen.line("")?;
    screen.line(steps(&plan, &traffic, &runs[0].all))?;
    if let Some(chart) = chart::of(&back(&runs[1].all)) {
        screen.line("\nthe bad one is taken back after")?;
        screen.line(chart)?;
    }
    Ok(Exit::Done)
}

/// Refuses names that no check reads: what is said of them would change nothing, silently.
fn known(checks: &Resolved, traffic: &Traffic, effect: &Effect) -> anyhow::Result<()> {
    let mut names: Vec<&str> = checks.checks.iter().filter_map(|check| check.kind.signal().observed()).collect();
    names.dedup();
    let said = traffic.observed.keys().chain(effect.observed.keys());
    if let Some(name) = said.into_iter().find(|name| !names.contains(&name.as_str())) {
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("no check reads an observation `{name}`; this policy reads: {names} (and `errors`, `latency`)");
    }
    Ok(())
}

/// As many rollouts as are asked for, on all processors; the same seed gives the same ones.
fn rollouts(plan: &Plan, traffic: &Traffic, effect: &Effect, (seed, count): (u64, u32)) -> Vec<Simulated> {
    let workers =
        std::thread::available_parallelism().map_or(1, NonZero::get).min(usize::try_from(count).unwrap_or(1).max(1));
    let part = |worker: usize| {
        let mine = (0..count).skip(worker).step_by(workers);
        mine.map(|at| (at, run(plan, traffic, effect, seed.wrapping_mul(1 << 32).wrapping_add(at.into()))))
            .collect::<Vec<_>>()
    };
    let mut all: Vec<(u32, Simulated)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || part(worker))).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, one)| one).collect()
}

fn assumed(plan: &Plan, traffic: &Traffic, asked: &SimulateArguments) -> String {
    format!(
        "{}: {} rollouts, seed {}\n{} requests/s, {} % fail, median {} ms, {} % judged; bad: {}",
        plan.policy,
        asked.rollouts.div_ceil(2) * 2,
        asked.seed,
        traffic.requests_per_second,
        rounded(traffic.error_rate * 100.0),
        traffic.latency_median_ms,
        rounded(traffic.observed_share * 100.0),
        told(&asked.effect)
    )
}

fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// `errors 5x, latency 1.5x`.
fn told(effect: &Effect) -> String {
    let named = [("errors", effect.errors), ("latency", effect.latency)];
    let observed = effect.observed.iter().map(|(name, factor)| (name.as_str(), *factor));
    let parts: Vec<String> = named
        .into_iter()
        .chain(observed)
        .filter(|(_, factor)| *factor != 1.0)
        .map(|(name, factor)| format!("{name} {factor}x"))
        .collect();
    if parts.is_empty() { "no difference".to_owned() } else { parts.join(", ") }
}

fn table(runs: &[Runs]) -> String {
    let mut table = Table::new(["VERSION", "BACK", "AT MOST", "UNDECIDED", "PROMOTED", "WAITS", "AFTER", "P95"]);
    for Runs { told, all } in runs {
        let count = |end: End| all.iter().filter(|one| one.end == end).count() as u64;
        let whole = all.len() as u64;
        let after = back(all);
        table.row([
            (*told).to_owned(),
            percent(count(End::RolledBack), whole),
            format!("{:.1} %", 100.0 * at_most(count(End::RolledBack), whole)),
            percent(count(End::Undecided), whole),
            percent(count(End::Completed), whole),
            percent(count(End::Waits), whole),
            or_dash(quantile(&after, 0.5).map(time)),
            or_dash(quantile(&after, 0.95).map(time)),
        ]);
    }
    table.text()
}

/// How long a healthy version stays in each step, and which rule takes longest to be proved.
fn steps(plan: &Plan, traffic: &Traffic, healthy: &[Simulated]) -> String {
    let needs = needs(plan, traffic);
    let mut table = Table::new(["STEP", "DWELL", "TOOK", "P95", "SLOWEST PROOF", "REQUESTS", "AT THIS RATE"]);
    for (at, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.judged) {
        let mut took: Vec<f64> = healthy.iter().filter_map(|one| one.steps.get(at).copied()).collect();
        took.sort_by(f64::total_cmp);
        let slowest = needs.iter().filter(|need| need.step == at).max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        table.row([
            format!("{} {}", at + 1, step.name),
            step.dwell.to_string(),
            or_dash(quantile(&took, 0.5).map(time)),
            or_dash(quantile(&took, 0.95).map(time)),
            or_dash(slowest.map(|need| &need.metric)),
            or_dash(slowest.map(|need| {
                if need.requests.is_finite() { format!("{:.0}", need.requests) } else { "never".to_owned() }
            })),
            or_dash(slowest.and_then(|need| finite(need.seconds)).map(time)),
        ]);
    }
    table.text()
}

fn report(plan: &Plan, traffic: &Traffic, runs: &[Runs]) -> serde_json::Value {
    let kind = |runs: &Runs| {
        let count = |end: End| runs.all.iter().filter(|one| one.end == end).count();
        let after = back(&runs.all);
        json!({
            "version": runs.told,
            "rollouts": runs.all.len(),
            "rolled_back": count(End::RolledBack),
            "undecided": count(End::Undecided),
            "completed": count(End::Completed),
            "waits": count(End::Waits),
            "seconds_to_rollback": {"p50": quantile(&after, 0.5), "p95": quantile(&after, 0.95)},
        })
    };
    let need = |need: ::simulate::Need| json!({"step": need.step, "metric": need.metric, "requests": finite(need.requests), "seconds": finite(need.seconds)});
    json!({
        "policy": plan.policy,
        "requests_per_second": traffic.requests_per_second,
        "versions": runs.iter().map(kind).collect::<Vec<_>>(),
        "needs": needs(plan, traffic).into_iter().map(need).collect::<Vec<_>>(),
    })
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// Seconds until each rollout that was taken back on evidence, ascending.
fn back(all: &[Simulated]) -> Vec<f64> {
    let mut seconds: Vec<f64> = all.iter().filter(|one| one.end == End::RolledBack).map(|one| one.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a rollout")]
    let ms = (seconds * 1000.0) as i64;
    lasting(ms)
}
