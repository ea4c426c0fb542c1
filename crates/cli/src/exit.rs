//! How a command ends. Scripts rely on these codes (CONTRACTS section 6).

use std::process::ExitCode;

use rollout::Stage;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done; for `wait`: the rollout completed.
    Done,
    /// It failed.
    Failed,
    /// `wait`: the rollout ended without promotion.
    NotPromoted,
    /// `wait`: the time was over and the rollout was not.
    StillRunning,
    /// Nobody can understand what was typed.
    Usage,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The end of whoever waited for a rollout that is final now.
    pub(crate) fn of_final(stage: Stage) -> Self {
        if stage == Stage::Completed { Self::Done } else { Self::NotPromoted }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::NotPromoted => 2,
            Exit::StillRunning => 3,
            Exit::Usage => 64,
            Exit::Interrupted => 130,
        })
    }
}
