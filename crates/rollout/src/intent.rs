//! What a rollout asks of the world. Intents are imperative; they are said again with the same attempt until answered.

use serde::{Deserialize, Serialize};

use crate::route::Direction;
use crate::split::Split;

/// Something to be done by another service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    /// Bring the candidate up and probe it.
    StartWorkload {
        /// Given back by the answer.
        attempt: i64,
    },
    /// Give this split to the targets, and read it back.
    ApplySplit {
        /// The fence, allocated by this decision or said again.
        generation: i64,
        /// Back is urgent.
        direction: Direction,
        /// Candidates first. Going back restores what was there before, whatever this says.
        split: Split,
    },
    /// Open an analysis, or answer with its latest verdict.
    RunAnalysis {
        /// Given back by the answer.
        attempt: i64,
    },
    /// Tell people that somebody or something is waited for.
    Remind,
}

impl Intent {
    /// The stored name of the kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StartWorkload { .. } => "start_workload",
            Self::ApplySplit { .. } => "apply_split",
            Self::RunAnalysis { .. } => "run_analysis",
            Self::Remind => "remind",
        }
    }
}
