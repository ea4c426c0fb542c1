//! What a run got, as values to print and to assert on. Counters only grow, so two snapshots can be subtracted.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

/// The failure of a request that got no word within its time, as `failures` lists it.
pub const UNANSWERED: &str = "us: timeout before any answer";

/// The account of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Requests sent.
    pub requests: u64,
    /// Requests that were due but not sent, because too many were under way.
    pub skipped: u64,
    /// Requests sent and not ended yet.
    pub in_flight: u64,
    /// Requests with a whole answer, of any status.
    pub answered: u64,
    /// Whole answers without `x-model-version`: the router's own, or a server's that was asked directly.
    pub answered_without_version: u64,
    /// Answers begun, by `x-model-version`.
    pub versions: BTreeMap<String, VersionReport>,
    /// Whole answers by status class, `1xx` to `5xx`.
    pub by_class: BTreeMap<String, u64>,
    /// Requests that failed and whose failure is ours; see [`Blame`].
    pub failed_by_us: u64,
    /// Requests that failed and whose failure is the model's; see [`Blame`].
    pub failed_by_model: u64,
    /// What the failures were: `us: connection refused`, `model: 500`, `us: 503 <problem type>`.
    pub failures: BTreeMap<String, u64>,
    /// When the first answer of all began.
    pub first_begun: Option<Moment>,
    /// Sessions that were answered by any version.
    pub sessions: u64,
    /// How often a session changed version, by `old -> new`.
    pub changes: BTreeMap<String, u64>,
    /// How often a session came back to a version that it had left. While a share only grows, or while a
    /// retreat only shrinks it, each one is a broken promise: compare two snapshots of that span.
    pub sticky_violations: u64,
    /// Sessions with at least one such return.
    pub sticky_violators: u64,
    /// Answers left out of the two above: their request was sent before the session's last answer began.
    pub overlapping: u64,
}

/// What one version did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VersionReport {
    /// Answers begun, of any status.
    pub answered: u64,
    /// Failures that are the model's.
    pub failed: u64,
    /// Different sessions answered.
    pub sessions: u64,
    /// When its first answer began.
    pub first_begun: Option<Moment>,
    /// When its last answer began: after a rollback, the last time anybody was exposed to it.
    pub last_begun: Option<Moment>,
    /// Median latency of whole answers, from when the request was due.
    pub p50_ms: f64,
    /// 95th percentile of the same.
    pub p95_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
}

/// An instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// On the monotonic clock, to subtract.
    #[serde(skip)]
    pub at: Instant,
    /// On the wall clock, in milliseconds since 1970, to print and to compare with records.
    pub unix_ms: u64,
}

/// Whose failure it is.
///
/// The model's: a 5xx that carries `x-model-version`, or a timeout after a head that carried it.
/// Ours: every other 5xx, any other answer whose problem type contains `tidegate`, a connection that was refused or
/// lost, an answer cut off, and a timeout before any head that names a version. In doubt it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The router or whatever stands before it.
    Us,
    /// The version that answered.
    Model,
}
