//! What came of the requests, for each version since the router started.
//!
//! Counters outlive routes: an arm that leaves and comes back goes on where it was, as a series must. They are made when a route
//! is adopted, so an arm without traffic reports zeros, but their tables are allocated with the first request: ten thousand
//! registered models cost little. Counting is atomics only, except for observations, which most answers do not have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rollout::{Model, Tenant, Version};

mod arm;
mod cells;
mod exposure;
mod snapshot;

pub(crate) use arm::ArmCounters;
pub use arm::{Observed, Role};
pub(crate) use exposure::Exposure;
pub use snapshot::ArmCount;

/// The versions of a model that were ever served.
type Arms = BTreeMap<Version, Arc<ArmCounters>>;

/// All counters of a router; clones share them.
#[derive(Debug, Clone)]
pub struct Counts {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    started_at_ms: u64,
    arms: RwLock<BTreeMap<(Tenant, Model), Arms>>,
    marks: Mutex<BTreeMap<(Tenant, Model), RouteMark>>,
    overrides: [AtomicU64; Override::ALL.len()],
    /// Of requests that named their version: they count for no arm.
    apart: Arc<ArmCounters>,
    pub(crate) unrouted: AtomicU64,
    pub(crate) bad_requests: AtomicU64,
    pub(crate) routes_refused: AtomicU64,
}

/// What became of a version that a request named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// It answered.
    Honoured,
    /// The peer is not trusted.
    Untrusted,
    /// It is no version, or there were several.
    Malformed,
    /// No such version is registered for the model.
    Unknown,
    /// Its rollout was stopped or turned back.
    Withdrawn,
}

impl Override {
    pub(crate) const ALL: [Self; 5] =
        [Self::Honoured, Self::Untrusted, Self::Malformed, Self::Unknown, Self::Withdrawn];

    /// The word in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Untrusted => "untrusted",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What the metrics say of a route itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteMark {
    pub(crate) generation: i64,
    /// When it was last adopted or heard of again, in milliseconds since 1970.
    pub(crate) confirmed_at_ms: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    /// Counters at zero, from now on.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            started_at_ms: now_ms(),
            arms: RwLock::default(),
            marks: Mutex::default(),
            overrides: Default::default(),
            apart: Arc::default(),
            unrouted: AtomicU64::new(0),
            bad_requests: AtomicU64::new(0),
            routes_refused: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// When counting began, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn started_at_ms(&self) -> u64 {
        self.shared.started_at_ms
    }

    /// Every arm that was ever served, by tenant, model and version.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ArmCount> {
        let arms = self.shared.arms.read().unwrap_or_else(PoisonError::into_inner);
        arms.iter().flat_map(|((tenant, model), arms)| arms_of(tenant, model, arms)).collect()
    }

    /// The versions of one model that were ever served.
    #[must_use]
    pub fn of_model(&self, tenant: &Tenant, model: &Model) -> Vec<ArmCount> {
        let arms = self.shared.arms.read().unwrap_or_else(PoisonError::into_inner);
        let of_model = arms.get(&(tenant.clone(), model.clone()));
        of_model.into_iter().flat_map(|arms| arms_of(tenant, model, arms)).collect()
    }

    /// Requests that named a version themselves, by what became of that.
    #[must_use]
    pub fn overrides(&self, result: Override) -> u64 {
        self.shared.overrides[result as usize].load(Relaxed)
    }

    pub(crate) fn named(&self, result: Override) {
        self.shared.overrides[result as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn apart(&self) -> Arc<ArmCounters> {
        Arc::clone(&self.shared.apart)
    }

    /// Requests that no route matched.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.shared.unrouted.load(Relaxed)
    }

    /// Requests that were refused for their form.
    #[must_use]
    pub fn bad_requests(&self) -> u64 {
        self.shared.bad_requests.load(Relaxed)
    }

    /// Routes that were refused or stale.
    #[must_use]
    pub fn routes_refused(&self) -> u64 {
        self.shared.routes_refused.load(Relaxed)
    }

    /// The counters of an arm, made if need be.
    pub(crate) fn arm(&self, tenant: &Tenant, model: &Model, version: &Version) -> Arc<ArmCounters> {
        let mut arms = self.shared.arms.write().unwrap_or_else(PoisonError::into_inner);
        let of_model = arms.entry((tenant.clone(), model.clone())).or_default();
        Arc::clone(of_model.entry(version.clone()).or_default())
    }

    pub(crate) fn mark(&self, tenant: &Tenant, model: &Model, mark: RouteMark) {
        let mut marks = self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.insert((tenant.clone(), model.clone()), mark);
    }

    /// The generation of a model that was adopted last.
    pub(crate) fn marked(&self, tenant: &Tenant, model: &Model) -> Option<i64> {
        let marks = self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.get(&(tenant.clone(), model.clone())).map(|mark| mark.generation)
    }

    pub(crate) fn marks(&self) -> BTreeMap<(Tenant, Model), RouteMark> {
        self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn arms_of(tenant: &Tenant, model: &Model, arms: &Arms) -> impl Iterator<Item = ArmCount> {
    arms.iter().map(|(version, counters)| ArmCount::of(tenant, model, version, counters))
}

/// The wall clock, in milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
