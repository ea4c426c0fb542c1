//! The counters of one version of one model.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use judge::Spread;
use proto::Exposed;
use rollout::RolloutId;

use super::cells::{Cells, Codes};
use super::exposure::Exposure;

/// Names of observations kept for one arm; a server that made up names could otherwise fill the memory.
const OBSERVED_NAMES_MAX: usize = 64;

/// Rollouts whose exposure is kept for one arm. Only one is live, so older ones are read within seconds of their end.
const EXPOSURES_MAX: usize = 8;

/// What a version was to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The arm that a stop serves.
    Stable,
    /// An arm on trial.
    Candidate,
    /// What the request itself asked for; it is no part of any comparison.
    Override,
}

impl Role {
    /// The role as clients see it in `x-rollout-arm`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Override => "override",
        }
    }
}

/// Sums over the observed values of one name.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observed {
    /// Number of values.
    pub n: u64,
    /// Their sum.
    pub s1: f64,
    /// The sum of their squares.
    pub s2: f64,
}

/// Cumulative since the router started.
#[derive(Debug, Default)]
pub(crate) struct ArmCounters {
    /// By role: stable, candidate, override.
    requests: [AtomicU64; 3],
    codes: [Codes; 3],
    pub(crate) keyed_by_request: AtomicU64,
    /// Sessions that no arm of the rollout had seen, and requests with an id of our own.
    pub(crate) new_sessions: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    /// Ended well or badly. An end adds to exactly one, so differences of two snapshots never show more errors than ends.
    good: AtomicU64,
    bad: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) truncated: AtomicU64,
    pub(crate) hung: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) last_begun_ms: AtomicU64,
    pub(crate) ttft: Cells,
    pub(crate) latency: Cells,
    observed: Mutex<Observations>,
    pub(crate) observations_ignored: AtomicU64,
    exposures: Mutex<Vec<(RolloutId, Arc<Exposure>)>>,
}

/// Observed values by name.
#[derive(Debug, Default)]
struct Observations {
    sums: BTreeMap<Box<str>, Observed>,
    /// By size too, for those that a route asks so for.
    spreads: BTreeMap<Box<str>, Spread>,
}

impl ArmCounters {
    pub(crate) fn begun(&self, role: Role) {
        self.requests[role as usize].fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, is_good: bool) {
        if is_good { &self.good } else { &self.bad }.fetch_add(1, Relaxed);
    }

    pub(crate) fn codes(&self, role: Role) -> &Codes {
        &self.codes[role as usize]
    }

    pub(crate) fn requests_as(&self, role: Role) -> u64 {
        self.requests[role as usize].load(Relaxed)
    }

    /// Bad ends, and all ends.
    pub(crate) fn errors(&self) -> (u64, u64) {
        let (bad, good) = (self.bad.load(Relaxed), self.good.load(Relaxed));
        (bad, bad + good)
    }

    pub(crate) fn observe(&self, observations: &[(String, f64)], ignored: u64) {
        let mut refused = ignored;
        if !observations.is_empty() {
            let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, value) in observations {
                if observed.sums.len() >= OBSERVED_NAMES_MAX && !observed.sums.contains_key(name.as_str()) {
                    refused += 1;
                    continue;
                }
                if let Some(spread) = observed.spreads.get_mut(name.as_str()) {
                    spread.observe(*value);
                }
                let sums = observed.sums.entry(name.as_str().into()).or_default();
                sums.n += 1;
                sums.s1 += value;
                sums.s2 += value * value;
            }
        }
        self.observations_ignored.fetch_add(refused, Relaxed);
    }

    pub(crate) fn observed(&self) -> BTreeMap<String, Observed> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.sums.iter().map(|(name, sums)| (name.to_string(), *sums)).collect()
    }

    /// Counts the values of these observations by size from now on, and of no others.
    pub(crate) fn count_by_size(&self, names: &[String]) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.spreads.retain(|known, _| names.iter().any(|name| **name == **known));
        for name in names {
            observed.spreads.entry(name.as_str().into()).or_default();
        }
    }

    pub(crate) fn spreads(&self) -> BTreeMap<String, Spread> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.spreads.iter().map(|(name, spread)| (name.to_string(), spread.clone())).collect()
    }

    /// What a rollout sends here, made if need be; the oldest of too many is forgotten.
    pub(crate) fn exposure_of(&self, rollout: &RolloutId, salt: &str) -> Arc<Exposure> {
        let mut exposures = self.exposures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, exposure)) = exposures.iter().find(|(of, _)| of == rollout) {
            return Arc::clone(exposure);
        }
        if exposures.len() == EXPOSURES_MAX {
            exposures.remove(0);
        }
        let exposure = Arc::new(Exposure::new(salt));
        exposures.push((rollout.clone(), Arc::clone(&exposure)));
        exposure
    }

    pub(crate) fn exposures(&self) -> Vec<(RolloutId, u64)> {
        let exposures = self.exposures.lock().unwrap_or_else(PoisonError::into_inner);
        exposures.iter().map(|(rollout, exposure)| (rollout.clone(), exposure.requests())).collect()
    }

    /// What the last rollout sent here.
    pub(crate) fn exposed(&self) -> Option<Exposed> {
        let exposures = self.exposures.lock().unwrap_or_else(PoisonError::into_inner);
        exposures.last().map(|(rollout, exposure)| exposure.read(rollout.clone()))
    }
}
