//! The traffic and the candidates of the study: those of the reference, and what else healthy versions live through.

use simulate::{Effect, Pods, Traffic, Weather};

/// What a rollout's traffic and candidate are like.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) traffic: Traffic,
    pub(super) effect: Effect,
    pub(super) truth: Truth,
}

/// What should come out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Truth {
    /// It stays; and is proved to be healthy, where there is traffic enough for that.
    Healthy { is_proved: bool },
    /// It goes, in so many seconds in the median, and in 95 of 100 rollouts, where the reference says.
    Bad { median: f64, p95: Option<f64> },
}

/// Requests a second of a pod in the reference.
const POD: Pods = Pods { requests_per_second: 12.5, errors_sd: 0.0, latency_sd: 0.0 };

pub(super) fn scenarios() -> Vec<Scenario> {
    let usual = || Traffic { pods: Some(POD), ..Traffic::default() };
    let under = |weather| Traffic { weather, ..usual() };
    let slow = || Traffic { requests_per_second: 1.0, ..usual() };
    let noise = Pods { errors_sd: 0.5, latency_sd: 0.05, ..POD };
    let healthy =
        |name, traffic, effect, is_proved| Scenario { name, traffic, effect, truth: Truth::Healthy { is_proved } };
    let bad =
        |name, traffic, effect, median, p95| Scenario { name, traffic, effect, truth: Truth::Bad { median, p95 } };
    vec![
        healthy("equal arms", usual(), Effect::default(), true),
        healthy("drift", under(Weather { swing: swing(), ..Weather::default() }), Effect::default(), true),
        healthy("outages", under(outages()), Effect::default(), true),
        healthy("pod noise", Traffic { pods: Some(noise), ..usual() }, Effect::default(), true),
        healthy("1 request/s", slow(), Effect::default(), false),
        healthy("at tolerance", usual(), tolerance(), true),
        bad("errors 2 %", usual(), errors(2.0), 720.0, None),
        bad("errors 5 %", usual(), errors(5.0), 75.0, Some(135.0)),
        bad("errors 20 %", usual(), errors(20.0), 15.0, None),
        bad("latency +50 %", usual(), Effect { latency: 1.5, ..Effect::default() }, 45.0, Some(90.0)),
        bad("cost +20 %", usual(), observed(&[("cost_usd", 1.2)]), 195.0, None),
        bad("quality -5 %", usual(), observed(&[("quality_score", 0.95)]), 690.0, None),
        bad("1 request/s, errors 20 %", slow(), errors(20.0), 810.0, Some(1755.0)),
    ]
}

fn errors(factor: f64) -> Effect {
    Effect { errors: factor, ..Effect::default() }
}

fn observed(factors: &[(&str, f64)]) -> Effect {
    let observed = factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor)).collect();
    Effect { observed, ..Effect::default() }
}

/// A wave of two hours that both arms ride: between half and twice the errors, and so on.
fn swing() -> Effect {
    let observed =
        observed(&[("hallucination", 1.3), ("task_success", 0.98), ("quality_score", 0.98), ("cost_usd", 1.1)]);
    Effect { errors: 2.0, latency: 1.25, ..observed }
}

/// One in both arms each hour, for five minutes: every fifth request fails and answers take twice as long.
fn outages() -> Weather {
    let outage = Effect { errors: 20.0, latency: 2.0, ..Effect::default() };
    Weather { outage, outages: 1.0 / 12.0, ..Weather::default() }
}

/// As much worse as a healthy version may be, in everything at once.
fn tolerance() -> Effect {
    let observed =
        observed(&[("hallucination", 1.09), ("task_success", 0.985), ("quality_score", 0.9925), ("cost_usd", 1.03)]);
    Effect { errors: 1.15, latency: 1.075, ..observed }
}
