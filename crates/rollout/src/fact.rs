//! What can happen to a rollout, and what the step that handles it saw around it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{RolloutId, Version};
use crate::plan::WhenLive;
use crate::route::Arm;
use crate::stage::Stage;

/// Words that a person says to a live rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// On to the next step without waiting for proof.
    Advance,
    /// Keeps the split and stops the clock.
    Pause,
    /// Ends a pause.
    Resume,
    /// Opens a gate.
    Approve,
    /// Closes a gate for good.
    Reject,
    /// On to 100 % without the steps in between.
    Promote,
    /// Takes the traffic back.
    Rollback,
    /// Takes the traffic back and says that it was not the version's fault.
    Cancel,
}

impl Verb {
    /// Every verb.
    pub const ALL: &[Self] = &[
        Self::Advance,
        Self::Pause,
        Self::Resume,
        Self::Approve,
        Self::Reject,
        Self::Promote,
        Self::Rollback,
        Self::Cancel,
    ];

    /// The word in paths and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Cancel => "cancel",
        }
    }

    /// Whether it asks a rollout in this stage for what is so already: saying a word again does nothing.
    #[must_use]
    pub const fn is_done(self, stage: Stage) -> bool {
        match self {
            Self::Rollback | Self::Cancel => stage.is_turned_back(),
            Self::Pause => matches!(stage, Stage::Paused),
            _ => false,
        }
    }

    /// Whether it takes traffic back: such a word must not lose a race, so it is fenced by nothing.
    #[must_use]
    pub const fn turns_back(self) -> bool {
        matches!(self, Self::Rollback | Self::Cancel)
    }

    /// The verb of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.name() == word)
    }
}

/// What happened. Each kind is one column of the transition table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A promotion was asked for; `refusal` is what the registry had against it.
    Requested {
        /// What happens while another one is live.
        when_live: WhenLive,
        /// Why it can't be, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<String>,
    },
    /// `wake_at` of this version of the row has come.
    DeadlinePassed {
        /// The row's version when the deadline was armed.
        version: i64,
    },
    /// The candidate is healthy and is the version it should be.
    WorkloadReady {
        /// Of the request answered.
        attempt: i64,
    },
    /// The candidate died, or can't come up.
    WorkloadFailed {
        /// Of the request answered.
        attempt: i64,
        /// The last probe's reason.
        reason: String,
        /// Whether it can still become ready: then it is only noted while preparing.
        #[serde(default)]
        passing: bool,
    },
    /// A split was applied and read back.
    SplitApplied {
        /// The split's fence.
        generation: i64,
    },
    /// A split could not be applied yet.
    SplitFailed {
        /// The split's fence.
        generation: i64,
        /// What stopped it.
        reason: String,
    },
    /// The judge has spoken.
    VerdictReached {
        /// Of the analysis.
        attempt: i64,
        /// What it asks for.
        action: judge::Decision,
        /// `pass`, `degraded`, `inconclusive`, `no_data`, `error` or `breach`.
        result: String,
        /// Why, or the first issue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person has spoken.
    Commanded {
        /// What they said.
        verb: Verb,
    },
    /// A newer promote takes this one's place.
    Overtaken {
        /// The newer one.
        by: RolloutId,
    },
    /// A target had no beat for as long as the lease and served the stable arm.
    LeaseExpired {
        /// Of the route that it had.
        generation: i64,
    },
    /// A target served something else than it was told.
    RouteDrifted {
        /// Of the route that it should have.
        generation: i64,
        /// Of the route that somebody else gave it; none where it just did not follow for long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<i64>,
    },
    /// A target holds the rollout as stopped, and nobody recorded that stop: whoever said it was not heard to the end.
    StopSeen {
        /// Of the route that the target should have.
        generation: i64,
    },
    /// Another system has evaluated the candidate: evidence for people.
    EvaluationFinished {
        /// What the evaluation is called there.
        name: String,
        /// `pass`, `fail` or `error`.
        outcome: String,
    },
}

impl What {
    /// The stored name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::WorkloadReady { .. } => "workload_ready",
            Self::WorkloadFailed { .. } => "workload_failed",
            Self::SplitApplied { .. } => "split_applied",
            Self::SplitFailed { .. } => "split_failed",
            Self::VerdictReached { .. } => "verdict_reached",
            Self::Commanded { .. } => "commanded",
            Self::Overtaken { .. } => "overtaken",
            Self::LeaseExpired { .. } => "lease_expired",
            Self::RouteDrifted { .. } => "route_drifted",
            Self::StopSeen { .. } => "stop_seen",
            Self::EvaluationFinished { .. } => "evaluation_finished",
        }
    }
}

/// The split that was there before, copied from the route with its upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The version that served.
    pub stable: Version,
    /// The arms as they were.
    pub arms: Vec<Arm>,
}

/// What the step read beside the row, in the same transaction; part of the log, so that folding needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// What the next generation of the model's route has to exceed: that of the route, and all of earlier incarnations; 0 when
    /// there was none.
    #[serde(default)]
    pub generation: i64,
    /// The model's route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Before>,
    /// The model's other live rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<(RolloutId, Stage)>,
}

/// Something that happened, who says so, and what the step saw around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What happened.
    pub what: What,
    /// Who says so: a service, or a person's claim beside the owner of the key.
    pub actor: String,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the step read around it.
    #[serde(default)]
    pub seen: Seen,
}
