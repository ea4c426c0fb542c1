//! What the parts remember to fail safe.

use rollout::{At, RolloutId, Tenant};

/// That the control part is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatRow {
    /// Counts the beats.
    pub number: i64,
    /// Counts the lives of the database: raised when a backup takes its place.
    pub incarnation: i64,
    /// When the last one was.
    pub beat_at: At,
}

/// A rollout that somebody stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRow {
    /// Which.
    pub rollout_id: RolloutId,
    /// Whose.
    pub tenant: Tenant,
    /// Who stopped it.
    pub actor: String,
    /// In their words.
    pub reason: Option<String>,
    /// When.
    pub stopped_at: At,
}
