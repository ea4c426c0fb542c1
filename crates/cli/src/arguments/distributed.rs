//! What can be typed about the distributed form: where its servers are, and who asks.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use chassis::{NatsUrl, Secret};
use clap::Args;

use super::Shown;

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Where the server is, with a user who may do everything: `nats://USER:PASSWORD@HOST:4222`.
    #[arg(long, env = "TIDEGATE_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats: String,
    #[command(flatten)]
    pub(crate) nkey: Nkey,
    /// Small streams, for everything on one machine; they can be made larger later, never smaller.
    #[arg(long)]
    pub(crate) small: bool,
    /// On how many servers each stream is kept.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5), value_name = "N")]
    pub(crate) replicas: u8,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// A file with the address of the database, with a user who may make tables and roles.
    #[arg(long, env = "TIDEGATE_DATABASE_URL_FILE", value_name = "FILE")]
    pub(crate) database_file: PathBuf,
    /// Have each service log in with its password in this folder, as `tidegate setup` made it.
    #[arg(long, value_name = "DIR")]
    pub(crate) logins: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = SETUP_HELP)]
pub(crate) struct SetupArguments {
    /// The folder; there will be one in it for each service.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the services will find the database.
    #[arg(long, default_value = "postgres:5432/tidegate", value_name = "HOST[:PORT]/DATABASE")]
    pub(crate) database: String,
    /// The nats-servers of a cluster, which log in to each other with a password of their own.
    #[arg(long, value_delimiter = ',', value_name = "HOST,HOST,HOST")]
    pub(crate) cluster: Vec<String>,
}

const SETUP_HELP: &str = "Each service gets a folder with the seed of its nkey (`nkey`) and its address of the database \
(`database`), which it alone should see; `api` also the first key of an administrator (`admin-key`), `admin` the nkey of \
`tidegate init` and the database's owner, `nats` the users that the server's configuration includes (`users.conf`), and \
how the servers of a cluster find each other (`cluster.conf`), \
`postgres` the owner's password. Nothing is shown, and nothing that is there is made anew. To have another one, delete its file and run this again; the nats-server \
must then read its configuration again, and `tidegate migrate` must run. The owner of the database gets another password by \
`alter role` alone.";

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The nats-server that the services meet over, with a user who may do everything: `nats://USER:PASSWORD@HOST:4222`.
    #[arg(long, env = "TIDEGATE_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats: String,
    #[command(flatten)]
    pub(crate) nkey: Nkey,
    /// A file with the address of the restored database, with the user who owns its tables.
    #[arg(long, env = "TIDEGATE_DATABASE_URL_FILE", value_name = "FILE")]
    pub(crate) database_file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The nats-server of the distributed form, with a user who may do everything: `nats://USER:PASSWORD@HOST:4222`.
    #[arg(long, env = "TIDEGATE_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats: Option<String>,
    #[command(flatten)]
    pub(crate) nkey: Nkey,
    /// Its monitoring port, such as `http://127.0.0.1:8222`, which alone tells whether it writes through.
    #[arg(long, value_name = "URL")]
    pub(crate) nats_monitor: Option<String>,
    /// A file with the address of the database of the distributed form.
    #[arg(long, env = "TIDEGATE_DATABASE_URL_FILE", value_name = "FILE")]
    pub(crate) database_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Nkey {
    /// A file with the seed of an nkey that says who asks, instead of a user and a password.
    #[arg(long = "nats-nkey-file", env = "TIDEGATE_NATS_NKEY_FILE", value_name = "FILE")]
    nkey_file: Option<PathBuf>,
}

impl Nkey {
    /// The nats-server at an address, asked by whoever holds the nkey. The address is not repeated: it may hold a password.
    pub(crate) fn at(&self, url: &str) -> anyhow::Result<NatsUrl> {
        let url: NatsUrl = url.parse().context("--nats, or TIDEGATE_NATS_URL")?;
        let Some(file) = &self.nkey_file else { return Ok(url) };
        let seed = Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))?;
        url.with_seed(seed).with_context(|| file.display().to_string())
    }
}
