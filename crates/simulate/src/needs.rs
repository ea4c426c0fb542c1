//! How many requests it takes to decide each rule, computed before anything starts (JUDGE section 13).

use judge::Resolved;
use judge::sequential::plan::{Dispersed, Gate, Test, View};
use judge::sequential::power::{Expected, Goal, samples};
use libm::{erfc, log};
use rollout::Plan;

use crate::traffic::Traffic;

/// What a rule needs in a step to be proved healthy, if the candidate equals stable.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// Index of the step.
    pub step: usize,
    /// The metric.
    pub metric: String,
    /// Requests of the candidate that suffice in nine of ten rollouts; infinite if it never can be proved.
    pub requests: f64,
    /// Seconds they take at the assumed traffic.
    pub seconds: f64,
    /// Seconds that the step has, without its warm-up: in its dwell, and with its extension.
    pub available: (f64, f64),
}

impl Need {
    /// Whether the dwell is long enough.
    #[must_use]
    pub fn is_decidable(&self) -> bool {
        self.seconds <= self.available.0
    }

    /// Whether the extension is long enough.
    #[must_use]
    pub fn is_decidable_late(&self) -> bool {
        self.seconds <= self.available.1
    }
}

/// What each sequential rule that counts needs in each judged step.
#[must_use]
pub fn needs(plan: &Plan, traffic: &Traffic) -> Vec<Need> {
    let Some(resolved) = &plan.checks else { return Vec::new() };
    let judged = plan.steps.iter().enumerate().filter(|(_, step)| step.judged);
    let mut needs = Vec::new();
    for (at, step) in judged {
        let share = f64::from(step.split.candidates().basis_points()) / f64::from(rollout::WHOLE);
        let warmup = resolved.steps.get(at).map_or(0, |step| step.warmup.ms());
        let available = (step.dwell.ms() - warmup).max(0) as f64 / 1000.0;
        let late = available + step.budget.ms() as f64 / 1000.0;
        for gate in resolved.sequential.gates.iter().filter(|gate| gate.weight > 0.0) {
            if gate.is_relative() && share >= 1.0 {
                continue;
            }
            let Some((metric, items)) = need(resolved, gate, traffic, share) else { continue };
            let requests = items.requests.max(gate.min_samples as f64 / items.part);
            let seconds = requests / (traffic.requests_per_second * share);
            needs.push(Need { step: at, metric, requests, seconds, available: (available, late) });
        }
    }
    needs
}

struct Items {
    requests: f64,
    /// How many items a request brings.
    part: f64,
}

fn need(resolved: &Resolved, gate: &Gate, traffic: &Traffic, share: f64) -> Option<(String, Items)> {
    let check = resolved.check_of(gate)?;
    let channel = resolved.sequential.channels.get(gate.channel)?;
    let observed = channel.signal.observed();
    let part = traffic.share_of(&check.kind);
    let phi = match gate.phi {
        Dispersed::Stated(phi) | Dispersed::Assumed(phi) => phi,
        Dispersed::Estimated(_) => 1.0,
    };
    let is_share = matches!(check.kind, judge::Metric::Proportion { .. });
    let items = observed.map(|name| traffic.items(name, is_share));
    let bad = || {
        let all = items.map_or(traffic.error_rate, |items| items.mean);
        if matches!(channel.view, View::Events { complement: true } | View::Sums { complement: true, .. }) {
            1.0 - all
        } else {
            all
        }
    };
    let tail = |ms: f64| {
        0.5 * erfc((log(ms) - log(traffic.latency_median_ms)) / (traffic.latency_sigma * std::f64::consts::SQRT_2))
    };
    let expected = match gate.test {
        // Of events that are no requests, nobody has assumed how often they come.
        Test::Rate => return None,
        Test::Ratio if channel.view == View::Occurrences => return None,
        Test::Ratio => Expected::Ratio { p: bad(), effect: 1.0, rho: gate.limit, share },
        Test::Share => Expected::Share { p: bad(), p0: gate.limit },
        // Counted above the edge that is the limit times stable's quantile.
        Test::QuantileRatio { q } => {
            let p = tail(quantile(traffic, q) * gate.limit);
            Expected::Ratio { p, effect: 1.0, rho: ((1.0 - q) / p).max(1.0), share }
        }
        Test::Quantile { q } => Expected::Share { p: tail(gate.limit), p0: 1.0 - q },
        Test::MeanRatio(of) | Test::Mean(of) => {
            let m = bad();
            let sd = items.and_then(|items| items.sd).unwrap_or_else(|| (m * (1.0 - m)).sqrt());
            let is_relative = gate.is_relative();
            Expected::Mean {
                m,
                sd,
                bounds: (
                    of.lo,
                    of.hi.or_else(|| resolved.cap_of(&channel.signal, m, m * m + sd * sd)).unwrap_or(10.0 * m),
                ),
                effect: 1.0,
                rho: if is_relative { gate.limit } else { gate.limit / m },
                bad: of.bad,
                share: is_relative.then_some(share),
            }
        }
    };
    // With a floor the proof is the mean of two, either of which has to carry both.
    let beta = if gate.floor.is_some() { resolved.beta / 2.0 } else { resolved.beta };
    let needed = |expected: &Expected| samples(Goal::Accept { beta }, expected, phi).n90;
    let by_test = needed(&expected);
    let by_floor = gate.floor.map(|p0| needed(&Expected::Share { p: bad(), p0 }));
    let least = by_test.min(by_floor.unwrap_or(f64::INFINITY));
    Some((check.metric.clone(), Items { requests: least / part, part }))
}

/// The quantile of the assumed latency, by bisection of its tail.
fn quantile(traffic: &Traffic, q: f64) -> f64 {
    let (mut low, mut high) = (-8.0_f64, 8.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if 0.5 * erfc(-middle / std::f64::consts::SQRT_2) < q { low = middle } else { high = middle }
    }
    traffic.latency_median_ms * (traffic.latency_sigma * low).exp()
}
