//! What can be typed about models, versions, policies and parked messages.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rollout::{Health, Model, PolicyName, Version};

use super::Shown;
use super::parse::{header, health};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsVerb {
    /// Register a model.
    Add(NewModelArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NewModelArguments {
    /// Its name.
    pub(crate) name: Model,
    /// What it is, such as `RERANKER`.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) model_type: String,
    /// What has versions: `model`, `agent` or `prompt`.
    #[arg(long, value_parser = ["model", "agent", "prompt"])]
    pub(crate) kind: Option<String>,
    /// The path of its requests at the router; `/NAME` when absent.
    #[arg(long, value_name = "PATH", conflicts_with = "host")]
    pub(crate) match_path: Option<String>,
    /// The host of its requests at the router, instead of a path.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The policy of its rollouts: a name or a policy file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) policy: Option<String>,
    /// Where its servers say whether they are ready (`/health` when absent), or `off`.
    #[arg(long, value_parser = health, value_name = "PATH|off")]
    pub(crate) health: Option<Health>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VersionsVerb {
    /// Register a version. The first one of a model becomes active when it is healthy.
    Add(NewVersionArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NewVersionArguments {
    /// The model.
    pub(crate) model: Model,
    /// The version.
    pub(crate) version: Version,
    /// Where its servers are, such as `http://10.0.0.5:8000`.
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: String,
    /// A header that chooses it inside its server; may be given several times.
    #[arg(long, value_parser = header, value_name = "NAME=VALUE")]
    pub(crate) header: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PoliciesVerb {
    /// Show one policy.
    Show {
        /// Its name.
        name: PolicyName,
        #[command(flatten)]
        shown: Shown,
    },
    /// Check a policy file and save it under the name that it gives itself.
    Save {
        /// The file, YAML or JSON.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedVerb {
    /// Show a message whole.
    Show {
        /// Its id in the list.
        id: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Have it handled again, under the same id.
    Replay {
        /// Its id in the list.
        id: String,
        /// Why, for the records.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Throw it away; a trace of it stays.
    Drop {
        /// Its id in the list.
        id: String,
        /// Why, for the records.
        #[arg(long)]
        reason: Option<String>,
    },
}
