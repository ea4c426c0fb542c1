//! What can be typed. The comments of this file are the program's help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollout::{Model, RouterName, Version};

mod assumed;
mod catalogue;
mod distributed;
mod foreign;
mod parse;

pub(crate) use assumed::Assumed;
pub(crate) use catalogue::{
    ModelsVerb, NewModelArguments, NewVersionArguments, ParkedVerb, PoliciesVerb, VersionsVerb,
};
pub(crate) use distributed::{
    DoctorArguments, InitArguments, MigrateArguments, Nkey, RestoreArguments, SetupArguments,
};
pub(crate) use foreign::{ExportArguments, Format, ImportArguments, Target, label};
pub(crate) use parse::AddressOrOff;
use parse::{address_or_off, duration, number, when_live};

/// Takes new versions of models live in small steps, and back at the first sign of trouble.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Where the server is.
    #[arg(long, global = true, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// The API key.
    #[arg(long, global = true, env = "TIDEGATE_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A file with the API key, which others may not read; `--key` goes before it.
    #[arg(long, global = true, env = "TIDEGATE_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 done (wait: promoted), 1 failed, 2 (wait) ended without promotion, \
3 (wait) still running at the timeout, 64 wrong usage, 130 interrupted.\n\n\
New here? `tidegate demo` shows everything in less than a minute.";

/// What is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this process: API, router, judge and scheduler.
    Up(UpArguments),
    /// Run a router of its own, which goes on serving while `tidegate up` is stopped, killed or upgraded.
    Router(RouterArguments),
    /// Watch a good and a bad version being rolled out, without a server, in less than a minute.
    Demo(DemoArguments),
    /// List the models, or add one.
    #[command(args_conflicts_with_subcommands = true)]
    Models {
        #[command(flatten)]
        shown: Shown,
        #[command(subcommand)]
        verb: Option<ModelsVerb>,
    },
    /// List the versions of a model, or add one.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Versions {
        /// The model.
        #[arg(required = true)]
        model: Option<Model>,
        #[command(flatten)]
        shown: Shown,
        #[command(subcommand)]
        verb: Option<VersionsVerb>,
    },
    /// List the policies, show one, or save one.
    #[command(args_conflicts_with_subcommands = true)]
    Policies {
        #[command(flatten)]
        shown: Shown,
        #[command(subcommand)]
        verb: Option<PoliciesVerb>,
    },
    /// Begin to roll out a version.
    Promote(PromoteArguments),
    /// List the rollouts, the newest first.
    Rollouts {
        /// How many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
        limit: u16,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show a rollout: its steps, its split, its checks, and what would decide next.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        shown: Shown,
    },
    /// Follow a rollout until it ends; the exit code is that of `wait`.
    Watch {
        #[command(flatten)]
        which: Which,
    },
    /// Show every move of a rollout and everything that was refused: when, by whom, why.
    History {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        shown: Shown,
    },
    /// Compute every verdict of a rollout again from its ledger, or what another policy would have said. Exit code 1: it differs from
    /// what was said.
    Replay {
        #[command(flatten)]
        which: Which,
        /// A policy's file or preset to judge by instead, with its own limits and settings, over the same steps.
        #[arg(long, value_name = "FILE|NAME")]
        policy: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Wait until a rollout ends. Exit code 0: promoted, 2: not promoted, 3: still running.
    Wait {
        #[command(flatten)]
        which: Which,
        /// How long at most.
        #[arg(long, default_value = "30m", value_parser = duration, value_name = "TIME")]
        timeout: Duration,
    },
    /// Open the gate that a rollout waits at.
    Approve(Said),
    /// Close the gate that a rollout waits at: traffic goes back.
    Reject(Said),
    /// Hold a rollout where it is.
    Pause(Said),
    /// End a pause.
    Resume(Said),
    /// Go on to the next step without waiting for proof.
    Advance(Said),
    /// Take the traffic back now, because the version is bad.
    Rollback(Retreat),
    /// Take the traffic back now, for another reason than the version.
    Cancel(Retreat),
    /// Post an outcome that only you know, such as whether the task succeeded.
    Observe(ObserveArguments),
    /// List messages that could not be handled; show, replay or drop one.
    #[command(args_conflicts_with_subcommands = true)]
    Parked {
        #[command(flatten)]
        shown: Shown,
        #[command(subcommand)]
        verb: Option<ParkedVerb>,
    },
    /// Check the logs of all rollouts against their chains of hashes, while tidegate is stopped.
    Verify {
        /// The folder of a tidegate.
        #[arg(long, default_value = "tidegate-data", value_name = "DIR")]
        data: PathBuf,
    },
    /// Make the streams and consumers of the distributed form on a nats-server; again and again changes nothing.
    Init(InitArguments),
    /// Bring the schema of the distributed form's PostgreSQL database up to date; again and again changes nothing.
    Migrate(MigrateArguments),
    /// Make every key and password of the distributed form, each in the folder of the one who needs it; what is there already stays.
    Setup(SetupArguments),
    /// After the database was restored from a backup: say what it has forgotten, and count splits above all earlier ones. Run it
    /// before the services start again.
    Restore(RestoreArguments),
    /// Send requests to a model as its users would, and say what became of them. Exit code 1: some failed, and not for the model.
    Load(LoadArguments),
    /// Ask a service on this machine whether it can be given work. Exit code 1: it can't.
    Ready {
        /// Where its admin pages are.
        #[arg(long, env = "TIDEGATE_ADMIN", default_value = "127.0.0.1:7090", value_name = "ADDR")]
        admin: SocketAddr,
    },
    /// Look whether everything is as it should be, and say what to do about what is not. Exit code 1: something fails.
    Doctor(DoctorArguments),
    /// Check a policy without a server; every problem is told with its line.
    Lint {
        /// A file, or the name of a preset.
        #[arg(value_name = "FILE|NAME")]
        policy: String,
        /// Also print every number that applies, and where it came from.
        #[arg(long)]
        resolved: bool,
        #[command(flatten)]
        assumed: Assumed,
        #[command(flatten)]
        shown: Shown,
    },
    /// Make a policy of a Canary of Flagger, a Rollout of Argo, or a rollout of agent-sre; what has no equal is named.
    Import(ImportArguments),
    /// Write a policy as a Canary of Flagger or a Rollout of Argo; what has no equal is named.
    Export(ExportArguments),
    /// Say how often a policy would take a healthy version back, how soon a bad one, and how long each step would take.
    Simulate(SimulateArguments),
    /// Print the script that completes these words in a shell.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

impl Command {
    /// Whether it asks an API that may want to see a key.
    pub(crate) const fn asks_an_api(&self) -> bool {
        !matches!(
            self,
            Self::Up(_)
                | Self::Router(_)
                | Self::Demo(_)
                | Self::Verify { .. }
                | Self::Init(_)
                | Self::Migrate(_)
                | Self::Setup(_)
                | Self::Restore(_)
                | Self::Load(_)
                | Self::Ready { .. }
                | Self::Lint { .. }
                | Self::Import(_)
                | Self::Export(_)
                | Self::Simulate(_)
                | Self::Completions { .. }
        )
    }
}

/// A shell that words are completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// `source <(tidegate completions bash)`
    Bash,
    /// `source <(tidegate completions zsh)`
    Zsh,
    /// `tidegate completions fish | source`
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// The folder of everything that must be remembered.
    #[arg(long, default_value = "tidegate-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where the API and the pages listen.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Where the router listens: requests for models go there. `off`: only routers of their own serve.
    #[arg(long, default_value = "127.0.0.1:7080", value_parser = address_or_off, value_name = "ADDR|off")]
    pub(crate) router: AddressOrOff,
}

#[derive(Debug, Args)]
#[command(after_help = ROUTER_HELP)]
pub(crate) struct RouterArguments {
    /// Where the control plane is: the API of `tidegate up`.
    #[arg(long, default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) control: router::Address,
    /// Where it listens: requests for models go there.
    #[arg(long, default_value = "127.0.0.1:7080", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// The folder of its routes, from which it starts when the control plane is down; one router at a time.
    #[arg(long, default_value = "tidegate-router", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Its name among the routers of the control plane.
    #[arg(long, default_value = "router", value_name = "NAME")]
    pub(crate) name: RouterName,
    /// Where `/livez`, `/readyz` and `/metrics` are. `off`: nowhere.
    #[arg(long, default_value = "127.0.0.1:7090", value_parser = address_or_off, value_name = "ADDR|off")]
    pub(crate) admin: AddressOrOff,
}

const ROUTER_HELP: &str = "Example, with the control plane in another terminal:\n\n  \
tidegate up --router off\n  \
tidegate router --control http://127.0.0.1:7070 --listen 127.0.0.1:7080 --data router-a --name router-a";

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Which version is rolled out.
    #[arg(long, value_enum, default_value_t = Scenario::All)]
    pub(crate) scenario: Scenario,
    /// Leave everything running afterwards, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What the demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A version that is a little better: it is promoted.
    Good,
    /// A version that is slow and expensive: it is rolled back.
    Bad,
    /// A version that takes every request and never answers: it is rolled back by the age of what it owes.
    Hang,
    /// The good and the bad one at once, on two models.
    All,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArguments {
    /// The model.
    pub(crate) model: Model,
    /// The version that takes over.
    pub(crate) version: Version,
    /// A policy's name or a policy file; when absent the model's own, else a preset by how far the versions are apart.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) policy: Option<String>,
    /// Why, for the records.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// While another rollout of the model is live: `reject`, `queue` or `supersede`.
    #[arg(long, value_parser = when_live, value_name = "WHAT")]
    pub(crate) when_live: Option<rollout::WhenLive>,
    /// Only say what would apply, and where each number comes from.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Follow it to its end; the exit code is that of `wait`.
    #[arg(long)]
    pub(crate) wait: bool,
    /// With `--wait`: how long at most.
    #[arg(long, default_value = "30m", value_parser = duration, value_name = "TIME", requires = "wait")]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = SIMULATE_HELP)]
pub(crate) struct SimulateArguments {
    /// A file, or the name of a preset.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) policy: String,
    #[command(flatten)]
    pub(crate) assumed: Assumed,
    /// What the bad version is like, as factors: `errors=5`, `latency=1.5,quality_score=0.95`.
    #[arg(long, default_value = "errors=5", value_parser = assumed::effect, value_name = "NAME=FACTOR")]
    pub(crate) effect: simulate::Effect,
    /// How many, half of them of a healthy version.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000), value_name = "N")]
    pub(crate) rollouts: u32,
    /// The same number draws the same rollouts.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

const SIMULATE_HELP: &str = "Example: three requests a second, and a version that fails five times as often:\n\n  \
tidegate simulate agent-default --rate 3 --errors 1% --effect errors=5";

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Where they go, such as `http://127.0.0.1:7080/reranker/predict`.
    #[arg(value_name = "URL")]
    pub(crate) target: hyper::Uri,
    /// How many a second.
    #[arg(long, default_value_t = 50.0, value_parser = number, value_name = "N")]
    pub(crate) rate: f64,
    /// Of how many sessions.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(crate) sessions: u32,
    /// For how long; until Ctrl-C when absent.
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    pub(crate) during: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ObserveArguments {
    /// The model.
    pub(crate) model: Model,
    /// The version that answered.
    pub(crate) version: Version,
    /// What was observed, such as `task_success`.
    pub(crate) metric: String,
    /// Its value; 0 or 1 for a rate.
    #[arg(value_parser = number, allow_negative_numbers = true)]
    pub(crate) value: f64,
    /// The request that it is about.
    #[arg(long)]
    pub(crate) key: Option<String>,
}

/// The rollout that is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// A rollout's id; or a model: its live rollout, else its last.
    #[arg(value_name = "ROLLOUT|MODEL")]
    pub(crate) which: Model,
}

#[derive(Debug, Args)]
pub(crate) struct Said {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why, for the records.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Retreat {
    #[command(flatten)]
    pub(crate) said: Said,
    /// Say it on the nats-server itself: neither API nor database is needed.
    #[arg(long, requires = "nats")]
    pub(crate) direct: bool,
    /// Where that is: `nats://USER:PASSWORD@HOST:4222`.
    #[arg(long, env = "TIDEGATE_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats: Option<String>,
    #[command(flatten)]
    pub(crate) nkey: Nkey,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Shown {
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// How a listing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}
