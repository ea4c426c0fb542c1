//! One process of a plant, which can be killed, held, told to end and started again at its address.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::house::{binary, eventually};

/// A process that is told to end has ended by then.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Ports below those that the system gives to clients: a process that is started again finds its own free.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// Those of one test among the tests that run at the same time.
const PORTS_OF_A_SLOT: u32 = 1_000;

/// One replica of a service.
pub(super) struct Process {
    pub(super) name: &'static str,
    /// Its place among the replicas.
    pub(super) replica: usize,
    command: Command,
    child: Child,
    pub(super) admin: String,
    /// Where an API or a router listens.
    pub(super) serves: String,
}

impl Process {
    pub(super) fn start(
        (name, replica): (&'static str, usize),
        folder: &Path,
        variables: &[(String, String)],
        (nats, database): (&str, &Path),
    ) -> Self {
        let (admin, serves) = (free_address(), free_address());
        let mut command = command(name);
        command
            .env("TIDEGATE_DATA", folder.join(format!("{name}-{replica}")))
            .env("TIDEGATE_ADMIN", &admin)
            .env(if name == "api" { "TIDEGATE_LISTEN" } else { "TIDEGATE_ROUTER" }, &serves)
            .env("TIDEGATE_ROUTER_NAME", format!("router-{replica}"))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("TIDEGATE_NATS_URL", nats)
            .env("TIDEGATE_DATABASE_URL_FILE", database);
        Self { name, replica, child: command.spawn().unwrap(), command, admin, serves }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again after an end.
    pub(super) fn start_again(&mut self) {
        self.child = self.command.spawn().unwrap();
    }

    /// `kill -9`, and the same again.
    pub(super) fn killed_and_started(&mut self) {
        self.kill();
        self.start_again();
    }

    /// The same again with more in its environment, or with other words there; a process that runs is killed.
    pub(super) fn started_with(&mut self, name: &str, value: &str) {
        self.kill();
        self.command.env(name, value);
        self.start_again();
    }

    pub(super) fn signal(&self, signal: &str) {
        Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
    }

    /// Whether it stands still, as a signal has told it.
    pub(super) fn is_held(&self) -> bool {
        self.about("stat").rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
    }

    /// The most that it ever held in memory.
    pub(super) fn peak_mib(&self) -> u64 {
        let status = self.about("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
    }

    fn about(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(super) fn until_ended(&mut self) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.has_ended() {
                break status;
            }
            assert!(since.elapsed() < STOP_LIMIT, "{} {} does not end", self.name, self.replica);
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{} {} ended with {status}", self.name, self.replica);
    }

    /// One of its pages, if it answers.
    pub(super) async fn page(&self, client: &reqwest::Client, path: &str) -> Option<(u16, String)> {
        let answer = client.get(format!("http://{}{path}", self.admin)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    pub(super) async fn until_ready(&self, client: &reqwest::Client) {
        eventually(&format!("{} {} is ready", self.name, self.replica), async || {
            self.page(client, "/readyz").await.is_some_and(|(status, _)| status == 200)
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A binary beside `tidegate`, with nothing of the test's environment that would be for it.
pub(super) fn command(name: &str) -> Command {
    let mut command = Command::new(binary().parent().unwrap_or(Path::new(".")).join(name));
    command.env("TIDEGATE_LOG", std::env::var("TIDEGATE_LOG").unwrap_or_else(|_| "error".to_owned()));
    command.env_remove("TIDEGATE_NATS_URL").env_remove("TIDEGATE_DATABASE_URL_FILE");
    command
}

/// An address that nobody uses at this moment, and that is given to nobody else: tests that run at the same time have other slots of
/// nextest, and each slot has ports of its own.
pub(super) fn free_address() -> String {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok());
    let slot: u32 = slot.unwrap_or_else(std::process::id);
    let slots = u32::try_from(PORTS.len()).unwrap() / PORTS_OF_A_SLOT;
    loop {
        let given = (std::process::id() * 50 + GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS_OF_A_SLOT;
        let port = PORTS.start + u16::try_from(slot % slots * PORTS_OF_A_SLOT + given).unwrap();
        if let Ok(free) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return free.local_addr().unwrap().to_string();
        }
    }
}
