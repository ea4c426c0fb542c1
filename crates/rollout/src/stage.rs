//! The stages of a rollout. Their names are stored, so they are never renamed or reused.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! stages {
    ($($(#[$doc:meta])* $stage:ident = $name:literal),+ $(,)?) => {
        /// Where a rollout stands. Stages that belong to a step find its index in [`crate::Rollout::step`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Stage { $($(#[$doc])* $stage),+ }

        impl Stage {
            /// Every stage, in the order of a rollout's life.
            pub const ALL: &[Self] = &[$(Self::$stage),+];

            /// The stored name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$stage => $name),+ }
            }

            /// The stage of a stored name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$stage),)+ _ => None }
            }
        }
    };
}

stages! {
    /// Waits until no other rollout of the model is live.
    Queued = "queued",
    /// The candidate is brought up and probed.
    Preparing = "preparing",
    /// Waits for a person before the split of its step.
    Gated = "gated",
    /// The split of its step was asked for.
    Shifting = "shifting",
    /// The split was read back; dwell and checks run.
    Observing = "observing",
    /// A person holds it.
    Paused = "paused",
    /// The whole was asked for.
    Promoting = "promoting",
    /// The candidate has everything, the former version is kept warm.
    Baking = "baking",
    /// Traffic is going back.
    Retreating = "retreating",
    /// Final: the candidate is the active version.
    Completed = "completed",
    /// Final: traffic is back.
    RolledBack = "rolled_back",
    /// Final: it never had traffic.
    Rejected = "rejected",
    /// Final: a newer promote took its place.
    Superseded = "superseded",
    /// Final: a person ended it.
    Cancelled = "cancelled",
}

impl Stage {
    /// Whether nothing can happen any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack | Self::Rejected | Self::Superseded | Self::Cancelled)
    }

    /// Whether it holds its model: neither queued nor final.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !self.is_final() && !matches!(self, Self::Queued)
    }

    /// Whether the candidate's share can only fall from here.
    #[must_use]
    pub const fn is_turned_back(self) -> bool {
        matches!(self, Self::Retreating | Self::RolledBack | Self::Superseded | Self::Cancelled)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
