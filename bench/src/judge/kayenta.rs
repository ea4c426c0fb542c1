//! A canary score like that of Kayenta's `NetflixACAJudge`, with a stage for each step of the plan.
//!
//! Taken from its sources (`MannWhitneyClassifier`, `WeightedSumScorer`, `MonitorCanaryTask`): a metric fails if its samples differ in the
//! harmful direction with 98 % confidence and their means by at least the allowed effect; the score of a group is the share of its
//! metrics that pass; a score at or below `marginal` fails the canary at once, and the last one must reach `pass`. Samples without a
//! request are left out. Simplified: stable's whole traffic is the baseline, where its guide asks for a fresh baseline of the canary's
//! size; no noise is added to constant samples; nothing is muted, critical or an outlier.

use judge::edges::LATENCY_EDGES_MS;
use judge::signal::add_signal;
use judge::{Metric, Signal, Signals, Tick, quantile};

use super::mann_whitney::is_higher;

/// A sample of each metric each 30 s.
const SAMPLE_MS: i64 = 30_000;

/// An analysis each five minutes, of all samples since the step began.
const ANALYSIS_MS: i64 = 300_000;

/// At or below this score the canary fails at once.
const MARGINAL: f64 = 75.0;

/// The last score of a step must reach this.
const PASS: f64 = 95.0;

/// The groups of metrics weigh the same.
const GROUPS: usize = 4;

/// Name, group, and the ratio of means from which a difference counts: the tolerances of the reference.
const METRICS: [(&str, usize, f64); 7] = [
    ("error_rate", 0, 1.15),
    ("p95_latency_ms", 1, 1.075),
    ("p99_latency_ms", 1, 1.075),
    ("hallucination_rate", 2, 1.09),
    ("task_success_rate", 2, 0.985),
    ("quality_score", 2, 0.9925),
    ("avg_cost_usd", 3, 1.03),
];

/// The canary's judge in one step.
#[derive(Debug, Default)]
pub(super) struct Kayenta {
    /// What the open sample has counted, of the candidate and of stable.
    open: [Signals; 2],
    /// The samples of each metric, of the candidate and of stable.
    samples: [[Vec<f64>; 2]; METRICS.len()],
}

impl Kayenta {
    /// Whether the canary fails in this tick; the step may end with it.
    pub(super) fn fails(&mut self, tick: &Tick, is_last: bool) -> bool {
        for (open, signals) in self.open.iter_mut().zip([&tick.candidate, &tick.stable]) {
            signals.iter().for_each(|(name, signal)| _ = add_signal(open, name, signal));
        }
        if tick.elapsed_ms % SAMPLE_MS == 0 {
            self.sample();
        }
        if tick.elapsed_ms % ANALYSIS_MS != 0 && !is_last {
            return false;
        }
        let score = self.score();
        score <= MARGINAL || (is_last && score < PASS)
    }

    fn sample(&mut self) {
        let open = std::mem::take(&mut self.open);
        for ((name, ..), samples) in METRICS.iter().zip(&mut self.samples) {
            let Ok(metric) = Metric::parse(name) else { continue };
            for (samples, signals) in samples.iter_mut().zip(&open) {
                samples.extend(signals.get(metric.signal()).and_then(|signal| value(&metric, signal)));
            }
        }
    }

    fn score(&self) -> f64 {
        let mut groups = [(0.0, 0.0); GROUPS];
        let mut absent = 0;
        for ((_, group, allowed), samples) in METRICS.iter().zip(&self.samples) {
            let [candidate, stable] = samples;
            if candidate.is_empty() || stable.is_empty() {
                absent += 1;
                continue;
            }
            let (passed, all) = &mut groups[*group];
            *all += 1.0;
            *passed += f64::from(u8::from(!is_worse(candidate, stable, *allowed)));
        }
        // Half of the metrics without samples fail the canary.
        if 2 * absent >= METRICS.len() {
            return 0.0;
        }
        let score = |(passed, all): &(f64, f64)| if *all > 0.0 { 100.0 * passed / all } else { 100.0 };
        groups.iter().map(score).sum::<f64>() / GROUPS as f64
    }
}

/// Whether the candidate differs in the direction of the allowed ratio, and by more than that.
fn is_worse(candidate: &[f64], stable: &[f64], allowed: f64) -> bool {
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
    let ratio = mean(candidate) / mean(stable);
    // There is no ratio to or of 0: the test alone decides then.
    let has_ratio = ratio.is_finite() && ratio != 0.0;
    if allowed > 1.0 {
        (!has_ratio || ratio >= allowed) && is_higher(candidate, stable)
    } else {
        (!has_ratio || ratio <= allowed) && is_higher(stable, candidate)
    }
}

fn value(metric: &Metric, signal: &Signal) -> Option<f64> {
    match (metric, signal) {
        (Metric::Quantile { percent, .. }, Signal::Histogram { counts }) => {
            quantile(&LATENCY_EDGES_MS, &counts.dense(), f64::from(*percent) / 100.0).map(|found| found.value)
        }
        (_, Signal::Count { k, n } | Signal::Mean { s1: k, n, .. }) => Some(k / n),
        _ => None,
    }
}
