//! The load's account over time, so that a span between two instants of the rollout's history can be looked at afterwards.

use std::sync::Arc;
use std::time::Duration;

use rollout::At;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::story::CANDIDATE;
use crate::load::Load;
use crate::words::now;

const EVERY: Duration = Duration::from_millis(100);

/// The account at one instant; counters only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) at: At,
    /// Requests sent.
    pub(super) sent: u64,
    /// Answers with a version.
    pub(super) answered: u64,
    /// Those of the candidate.
    pub(super) candidate: u64,
    pub(super) sticky_violations: u64,
}

/// Takes samples until it is stopped.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: oneshot::Sender<()>,
    sampling: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    pub(super) fn start(load: Arc<Load>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let sampling = tokio::spawn(async move {
            let mut samples = Vec::new();
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = &mut stopped => return samples,
                    _ = ticks.tick() => samples.push(sample(&load)),
                }
            }
        });
        Self { stop, sampling }
    }

    /// The samples, in the order of time.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<Sample>> {
        let _ = self.stop.send(());
        Ok(self.sampling.await?)
    }
}

/// The first sample at or after an instant.
pub(super) fn from(samples: &[Sample], at: At) -> Option<&Sample> {
    samples.iter().find(|sample| sample.at >= at)
}

/// The last sample at or before an instant.
pub(super) fn until(samples: &[Sample], at: At) -> Option<&Sample> {
    samples.iter().rev().find(|sample| sample.at <= at)
}

/// The account now.
pub(super) fn sample(load: &Load) -> Sample {
    let report = load.snapshot();
    // The clock is read after the account, so that nothing in it is younger than it says.
    Sample {
        at: now(),
        sent: report.requests,
        answered: report.versions.values().map(|version| version.answered).sum(),
        candidate: report.versions.get(CANDIDATE).map_or(0, |version| version.answered),
        sticky_violations: report.sticky_violations,
    }
}
