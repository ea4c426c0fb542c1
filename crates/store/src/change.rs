//! The writes of a commit, as values: a service decides what to change, the step applies it.

use rollout::{At, Model, Rollout, RolloutId, Route, Tenant, Version};
use serde_json::Value;

use crate::delivery::{Delivery, Told};
use crate::rows::{
    BaselineRow, IdempotencyRow, JudgeRow, ModelRow, ObservationRow, PolicyRow, PromotionRow, RefusalRow, StopRow,
    TargetRow, TickRow, Transition, VersionRow, WorkloadRow,
};

/// One write. Each is conditional on what it was computed from, and reports whether it won.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new rollout.
    Open {
        /// Its first row.
        row: Box<Rollout>,
        /// Drawn for it.
        salt: String,
        /// The first entry of its log.
        entry: Box<Transition>,
    },
    /// A rollout moved.
    Move {
        /// The row after it.
        row: Box<Rollout>,
        /// The version that it was decided from.
        from_version: i64,
        /// The log's entry of the move.
        entry: Box<Transition>,
    },
    /// A fact that changed nothing.
    Refuse(RefusalRow),
    /// The wished route of a model.
    Wish {
        /// With its new generation.
        route: Box<Route>,
        /// The generation that was read; 0 when there was no route.
        from_generation: i64,
        /// When.
        at: At,
    },
    /// The model's queued rollouts look whether their turn has come.
    WakeQueued {
        /// Whose model.
        tenant: Tenant,
        /// The model.
        model: Model,
        /// When.
        at: At,
    },
    /// A new model.
    Model(Box<ModelRow>),
    /// A new version.
    Version(Box<VersionRow>),
    /// A new revision of a policy.
    Policy(Box<PolicyRow>),
    /// News up to this generation were applied.
    Followed {
        /// Whose model.
        tenant: Tenant,
        /// The model.
        model: Model,
        /// Of the news.
        generation: i64,
    },
    /// A version's status and share, if it still has the status that was read.
    Status {
        /// Whose model.
        tenant: Tenant,
        /// The model.
        model: Model,
        /// The version.
        version: Version,
        /// The status before.
        from: String,
        /// The status.
        status: &'static str,
        /// Its share in percent.
        traffic_pct: f64,
        /// When.
        at: At,
    },
    /// An entry of the promotion history.
    Promotion(Box<PromotionRow>),
    /// One tick of one arm.
    Tick(Box<TickRow>),
    /// Where an analysis stands.
    Judge {
        /// The row after it.
        row: Box<JudgeRow>,
        /// The attempt and tick that it was computed from; none for a new analysis.
        from: Option<(i64, i64)>,
    },
    /// An analysis is over.
    JudgeEnded(RolloutId),
    /// What a source has counted.
    Observe(Box<ObservationRow>),
    /// One minute of the active version.
    Baseline(Box<BaselineRow>),
    /// What a target serves.
    Target(Box<TargetRow>),
    /// Since when a target has served something else than it was told; none when it follows again.
    Drifted {
        /// Which; one that was never read back has nothing to differ from.
        target_id: String,
        /// Since when.
        since: Option<At>,
    },
    /// A candidate's servers.
    Workload {
        /// The row after it.
        row: Box<WorkloadRow>,
        /// The attempt and tries that it was computed from; none for a new workload.
        from: Option<(i64, i64)>,
    },
    /// The control part is alive.
    Beat {
        /// The number of the beat before.
        from: i64,
        /// When.
        at: At,
    },
    /// Somebody stopped a rollout.
    Stop(Box<StopRow>),
    /// A message for a receiver; one that is there stays as it is.
    Deliver(Box<Delivery>),
    /// Where a delivery stands.
    Attempted {
        /// The row after it.
        row: Box<Delivery>,
        /// State and tries that it was computed from.
        from: (Told, i64),
    },
    /// A write that named a key.
    Idempotency(Box<IdempotencyRow>),
    /// The answer to such a write; the first one stays.
    Answered {
        /// Whose key.
        tenant: Tenant,
        /// The key.
        key: String,
        /// Status and body.
        answer: Value,
    },
}

/// Whether a conditional write won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done,
    /// Another one was quicker; nothing was written.
    Lost,
}

impl Written {
    pub(crate) const fn of(rows: u64) -> Self {
        if rows == 1 { Self::Done } else { Self::Lost }
    }
}
