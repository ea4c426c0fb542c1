//! Our method in the study, held against the acceptance figures of the design: A2 to A5.

use super::outcome::STEPS;
use super::scenario::Truth;
use super::study::Studied;
use super::tables;
use crate::figure::Figure;

/// One more tick than the reference may pass: what falls on its border may go either way.
const TICK_SECONDS: f64 = 15.0;

/// Medians and late ones may be so much above those of the reference.
const SLACK: f64 = 1.10;

/// The share of rollouts in which equal arms are proved healthy within the first step, less what 400 runs can't tell.
const PROVED_LEAST: f64 = 0.79;

/// Medians of the time until equal arms are proved healthy, by step.
const PROVED_SECONDS: [f64; STEPS] = [975.0, 285.0, 240.0];

/// Probability that a step passes a candidate at its limit.
const BETA: f64 = 0.05;

/// A2 to A5 of the design.
pub(super) fn figures(studied: &[Studied]) -> Vec<Figure> {
    let named = |name: &str| studied.iter().find(|one| one.scenario.name == name);
    let equal = named("equal arms").into_iter();
    let at_limit = named("errors 2 %").into_iter();
    [
        vec![false_rollbacks(studied), promoted(studied)],
        detected(studied),
        equal.map(proved).collect(),
        at_limit.map(passed_at_limit).collect(),
    ]
    .concat()
}

fn false_rollbacks(studied: &[Studied]) -> Figure {
    let healthy = studied.iter().filter(|one| matches!(one.scenario.truth, Truth::Healthy { .. }));
    let (back, of) = healthy.map(|one| (one.back(0), one.outcomes.len())).max().unwrap_or_default();
    let most = tables::at_most(back, of);
    let ours = format!("{back} of {of}, at most {:.2} %", 100.0 * most);
    figure("judge A2: healthy ones taken back, worst of 6 scenarios", ours, "at most 1 %", most <= 0.01)
}

fn promoted(studied: &[Studied]) -> Figure {
    let proved = studied.iter().filter(|one| matches!(one.scenario.truth, Truth::Healthy { is_proved: true }));
    let least = proved.filter_map(|one| one.promoted).fold(1.0, f64::min);
    let ours = format!("{:.1} %", 100.0 * least);
    figure("judge: healthy ones promoted, worst of 5 scenarios", ours, ">= 99 %", least >= 0.99)
}

/// Seconds until bad ones go back, to those of the reference and of the design.
fn detected(studied: &[Studied]) -> Vec<Figure> {
    let (mut reference, mut bound) = (0.0_f64, 0.0_f64);
    for one in studied {
        let Truth::Bad { median, p95 } = one.scenario.truth else { continue };
        let ratio = |at, expected: f64| (one.seconds(0, at) - TICK_SECONDS) / expected;
        bound = bound.max(one.seconds(0, 0.5) / median);
        if one.back(0) < one.outcomes.len() {
            reference = f64::INFINITY;
        }
        if let Some(p95) = p95 {
            reference = reference.max(ratio(0.5, median)).max(ratio(0.95, p95));
        }
    }
    let told = |ratio: f64| format!("{ratio:.2} x");
    vec![
        figure(
            "judge A3: until bad ones go back, less a tick, to the reference",
            told(reference),
            "<= 1.10 x",
            reference <= SLACK,
        ),
        figure("judge A4: median until bad ones go back, to its bound", told(bound), "<= 1.00 x", bound <= 1.0),
    ]
}

fn proved(equal: &Studied) -> Figure {
    let steps: [(f64, f64); STEPS] = std::array::from_fn(|step| equal.proved(step));
    let is_met = steps[0].0 >= PROVED_LEAST
        && steps.iter().zip(PROVED_SECONDS).all(|(step, seconds)| step.1 <= SLACK * seconds + TICK_SECONDS);
    let ours = format!("{:.0} %, {:.0} s; {:.0} s, {:.0} s", 100.0 * steps[0].0, steps[0].1, steps[1].1, steps[2].1);
    figure("judge A5: equal arms proved, by step", ours, "83 %, 975 s; 285 s, 240 s", is_met)
}

fn passed_at_limit(at_limit: &Studied) -> Figure {
    let most = (0..STEPS).map(|step| at_limit.proved(step).0).fold(0.0, f64::max);
    let ours = format!("{:.1} %", 100.0 * most);
    figure("judge A5: proved though at the limit, worst step", ours, "<= 5 %", most <= BETA)
}

fn figure(what: &'static str, ours: String, target: &'static str, is_met: bool) -> Figure {
    Figure { what, ours, floor: "-".to_owned(), ratio: "-".to_owned(), target, is_met }
}
