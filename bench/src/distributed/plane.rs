//! A nats-server and a PostgreSQL that are set up as an operator does it, and processes of services over them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use servers::{Nats, Postgres};
use store::Store;
use tempfile::TempDir;

use crate::house::binary;

/// Far above what a process takes to be ready, or a plane to be quiet.
pub(super) const LIMIT: Duration = Duration::from_secs(300);

/// Servers and the processes over them, which end with it.
pub(super) struct Plane {
    processes: Vec<Process>,
    pub(super) nats: Nats,
    pub(super) postgres: Postgres,
    folder: TempDir,
}

struct Process(Child);

impl Plane {
    /// Starts both servers and sets them up.
    pub(super) fn set_up() -> anyhow::Result<Self> {
        let (nats, postgres, folder) =
            (Nats::start(), Postgres::start_with(&["max_connections=100"]), tempfile::tempdir()?);
        let plane = Self { processes: Vec::new(), nats, postgres, folder };
        let file = plane.folder.path().join("database");
        std::fs::write(&file, plane.postgres.url())?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        for words in [&["init", "--small"][..], &["migrate"]] {
            let out = plane.command("tidegate")?.args(words).output()?;
            ensure!(out.status.success(), "tidegate {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(plane)
    }

    /// Starts a process of a service and waits until it is ready; gives the address where it serves, if it does.
    pub(super) async fn start(&mut self, service: &str) -> anyhow::Result<String> {
        let (admin, serves, number) = (free_address()?, free_address()?, self.processes.len());
        let mut command = self.command(service)?;
        command
            .env("TIDEGATE_ADMIN", &admin)
            .env("TIDEGATE_DATA", self.folder.path().join(number.to_string()))
            .env("TIDEGATE_ROUTER_NAME", format!("router-{number}"))
            .env(if service == "api" { "TIDEGATE_LISTEN" } else { "TIDEGATE_ROUTER" }, &serves);
        self.processes.push(Process(command.spawn()?));
        let (client, since) = (reqwest::Client::builder().no_proxy().build()?, Instant::now());
        let page = format!("http://{admin}/readyz");
        while !client.get(&page).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(since.elapsed() < LIMIT, "{service} is not ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(format!("http://{serves}"))
    }

    /// Ends all processes at once.
    pub(super) fn end(&mut self) {
        self.processes.clear();
    }

    fn command(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(binary(name)?);
        command
            .env("TIDEGATE_LOG", "off")
            .env("TIDEGATE_NATS_URL", self.nats.url())
            .env("TIDEGATE_DATABASE_URL_FILE", self.folder.path().join("database"));
        Ok(command)
    }

    /// A client that may do everything.
    pub(super) async fn jetstream(&self) -> jetstream::Context {
        self.nats.jetstream().await
    }

    pub(super) async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&self.postgres.url(), 2).await?)
    }

    /// What the processes have used of the processor since their start, in seconds, and what they hold in memory, in MiB.
    pub(super) fn usage(&self) -> anyhow::Result<(f64, f64)> {
        let (mut seconds, mut mib) = (0.0, 0.0);
        for process in &self.processes {
            let text = |of: &str| std::fs::read_to_string(format!("/proc/{}/{of}", process.0.id()));
            let stat = text("stat")?;
            let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks =
                |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).context("no time in stat");
            // utime and stime, in hundredths of a second on every Linux of today.
            seconds += (ticks(11)? + ticks(12)?) / 100.0;
            let status = text("status")?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            mib += resident.split_whitespace().next().context("no figure")?.parse::<f64>()? / 1024.0;
        }
        Ok((seconds, mib))
    }
}

/// Hears what goes into a stream from now on, under these subjects.
pub(super) async fn hear(jetstream: &jetstream::Context, stream: &str, filter: &str) -> anyhow::Result<pull::Stream> {
    let config = pull::Config {
        filter_subject: filter.to_owned(),
        deliver_policy: async_nats::jetstream::consumer::DeliverPolicy::New,
        ack_policy: async_nats::jetstream::consumer::AckPolicy::None,
        ..pull::Config::default()
    };
    let consumer: PullConsumer = jetstream.create_consumer_on_stream(config, stream).await?;
    Ok(consumer.messages().await?)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
