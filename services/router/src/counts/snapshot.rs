//! The numbers of one arm as plain values, and as the judge's signals.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use judge::{Signal, SignalName, Signals, Spread};
use proto::Exposed;
use rollout::{Model, RolloutId, Tenant, Version};

use super::arm::{ArmCounters, Observed, Role};

/// What one version did, cumulative since the router started.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmCount {
    /// Whose model it is.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub version: Version,
    /// Requests that were sent its way.
    pub requests: u64,
    /// Those of them that came while it was a candidate.
    pub requests_as_candidate: u64,
    /// Those of them that had no session and were keyed by their own id, hence not sticky.
    pub keyed_by_request: u64,
    /// Sessions that no arm of their rollout had seen before, as far as that can be told, and requests that had neither session nor id.
    pub new_sessions: u64,
    /// Requests that have not ended.
    pub in_flight: u64,
    /// Ends with an error: 5xx, no connection, no answer, timeout, cut body, hanging.
    pub errors: u64,
    /// All ends but the client's own aborts; a hanging request counts once, when it begins to hang.
    pub ended: u64,
    /// Answers by status code, ours in its place included; 600 stands for everything above 599.
    pub codes: BTreeMap<u16, u64>,
    /// The same as a stable arm.
    pub codes_as_stable: BTreeMap<u16, u64>,
    /// The same as a candidate.
    pub codes_as_candidate: BTreeMap<u16, u64>,
    /// No connection could be made.
    pub connect_failures: u64,
    /// Connected, but no answer or one that is not HTTP.
    pub broken: u64,
    /// The head, or the rest of the body, did not come in time.
    pub timeouts: u64,
    /// Bodies that the upstream cut off.
    pub truncated: u64,
    /// Requests that grew older than the route's limit; they are errors from then on.
    pub hung: u64,
    /// Requests that the client gave up; no errors.
    pub aborted: u64,
    /// When the head of an answer was last sent, in milliseconds since 1970 UTC; 0 if never.
    pub last_begun_ms: u64,
    /// Time to the first byte, over `judge::edges`, in milliseconds.
    pub ttft: judge::Counts,
    /// Time of the whole answer, over `judge::edges`, in milliseconds.
    pub latency: judge::Counts,
    /// The sum of the times of whole answers, in seconds.
    pub latency_sum_seconds: f64,
    /// Observations by name.
    pub observed: BTreeMap<String, Observed>,
    /// Those by size, for which the route asks.
    pub spreads: BTreeMap<String, Spread>,
    /// Items of `x-tidegate-observe` that were no observation, or too many.
    pub observations_ignored: u64,
    /// Requests for each of the last rollouts that this version took part in.
    pub exposures: Vec<(RolloutId, u64)>,
    /// The last of them, with its sessions.
    pub exposed: Option<Exposed>,
}

impl ArmCount {
    pub(crate) fn of(tenant: &Tenant, model: &Model, version: &Version, counters: &ArmCounters) -> Self {
        let (errors, ended) = counters.errors();
        let codes_as_stable: BTreeMap<_, _> = counters.codes(Role::Stable).read().into_iter().collect();
        let codes_as_candidate: BTreeMap<_, _> = counters.codes(Role::Candidate).read().into_iter().collect();
        let mut codes = codes_as_stable.clone();
        for (code, count) in &codes_as_candidate {
            *codes.entry(*code).or_default() += count;
        }
        let requests_as_candidate = counters.requests_as(Role::Candidate);
        Self {
            tenant: tenant.clone(),
            model: model.clone(),
            version: version.clone(),
            requests: counters.requests_as(Role::Stable) + requests_as_candidate,
            requests_as_candidate,
            keyed_by_request: counters.keyed_by_request.load(Relaxed),
            new_sessions: counters.new_sessions.load(Relaxed),
            in_flight: counters.in_flight.load(Relaxed),
            errors,
            ended,
            codes,
            codes_as_stable,
            codes_as_candidate,
            connect_failures: counters.connect_failures.load(Relaxed),
            broken: counters.broken.load(Relaxed),
            timeouts: counters.timeouts.load(Relaxed),
            truncated: counters.truncated.load(Relaxed),
            hung: counters.hung.load(Relaxed),
            aborted: counters.aborted.load(Relaxed),
            last_begun_ms: counters.last_begun_ms.load(Relaxed),
            ttft: counters.ttft.read(),
            latency: counters.latency.read(),
            latency_sum_seconds: counters.latency.sum_seconds(),
            observed: counters.observed(),
            spreads: counters.spreads(),
            observations_ignored: counters.observations_ignored.load(Relaxed),
            exposures: counters.exposures(),
            exposed: counters.exposed(),
        }
    }

    /// Answers of one class, 1 to 5 for 1xx to 5xx.
    #[must_use]
    pub fn of_class(&self, class: u16) -> u64 {
        self.codes.range(class * 100..(class + 1) * 100).map(|(_, count)| count).sum()
    }

    /// The numbers as the judge reads them.
    #[must_use]
    pub fn signals(&self) -> Signals {
        let histogram = |counts: &judge::Counts| Signal::Histogram { counts: counts.clone() };
        let mut signals = Signals::from([
            (SignalName::error(), Signal::Count { k: self.errors as f64, n: self.ended as f64 }),
            (SignalName::latency(), histogram(&self.latency)),
            (SignalName::ttft(), histogram(&self.ttft)),
            (SignalName::new_sessions(), Signal::Count { k: 0.0, n: self.new_sessions as f64 }),
        ]);
        for (name, sums) in &self.observed {
            let mean = Signal::Mean { n: sums.n as f64, s1: sums.s1, s2: sums.s2, cap: None };
            signals.insert(SignalName::observation(name), mean);
        }
        signals
    }
}
