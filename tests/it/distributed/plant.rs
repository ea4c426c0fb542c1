//! A plant: every service in processes of its own, as many replicas as wanted, with one nats-server and one PostgreSQL. Each process
//! can be killed, held, told to end and started again at its address.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::Store;
use tokio::task::JoinHandle;

use crate::checker::{Server, rests, violations_of};
use crate::house::{House, LIMIT, binary, eventually};
use crate::nats::Nats;
use crate::notifying::outside::Outside;
use crate::traffic::{self, Traffic};
use crate::witness::Witness;
use servers::Postgres;

pub(super) const SERVICES: [&str; 8] =
    ["registry-writer", "stage-scheduler", "analyzer", "traffic-updater", "deployer", "notifier", "api", "router"];
/// A process that is told to end has ended by then.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Ports below those that the system gives to clients: a process that is started again finds its own free.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// Those of one test among the tests that run at the same time.
const PORTS_OF_A_SLOT: u32 = 1_000;

/// Of a PostgreSQL for so many processes.
pub(super) const SETTINGS: &[&str] = &["fsync=off", "max_connections=200"];

/// All processes, and what they meet over.
pub(super) struct Plant {
    pub(super) processes: Vec<Process>,
    /// The first API and the first router, as of `tidegate up`.
    pub(super) house: House,
    pub(super) nats: Nats,
    pub(super) postgres: Postgres,
    /// Who is told.
    pub(super) outside: Outside,
}

/// One replica of a service.
pub(super) struct Process {
    pub(super) name: &'static str,
    /// Its place among the replicas.
    pub(super) replica: usize,
    command: Command,
    child: Child,
    admin: String,
    /// Where an API or a router listens.
    pub(super) serves: String,
}

impl Plant {
    /// One process of each service.
    pub(super) async fn start() -> Self {
        Self::of(1, &[]).await
    }

    /// So many replicas of each service, with more in the environment of all.
    pub(super) async fn of(replicas: usize, variables: &[(&str, &str)]) -> Self {
        Self::over((Nats::start(), Postgres::start_with(SETTINGS)), replicas, variables).await
    }

    /// The same over servers that are there.
    pub(super) async fn over((nats, postgres): (Nats, Postgres), replicas: usize, variables: &[(&str, &str)]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let database = secret(folder.path(), &postgres.url());
        let shared =
            [("TIDEGATE_NATS_URL", nats.url()), ("TIDEGATE_DATABASE_URL_FILE", database.display().to_string())];
        let replicas_of_streams = nats.replicas().to_string();
        for words in [&["init", "--small", "--replicas", &replicas_of_streams][..], &["migrate"]] {
            eventually(&format!("{words:?} works"), async || {
                let out = command("tidegate").args(words).envs(shared.clone()).output().unwrap();
                // Several servers take a while until they know each other.
                assert!(out.status.success() || nats.replicas() > 1, "{}", String::from_utf8_lossy(&out.stderr));
                out.status.success()
            })
            .await;
        }
        let outside = Outside::start().await;
        let words = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut all = outside.all();
        all.extend(shared.iter().map(|(name, value)| words((name, value))));
        all.extend(variables.iter().copied().map(words));
        // Each may do on the servers what it does, and no more.
        for service in ::chassis::services::WITH_DATABASE {
            let role = role(service.name);
            postgres.say(format!("alter role {role} login").leak()).await;
            secret_in(folder.path(), &format!("{}.database", service.name), &postgres.url_of(&role));
        }
        let mut processes = Vec::new();
        for place in SERVICES.into_iter().flat_map(|name| (0..replicas).map(move |replica| (name, replica))) {
            let database = folder.path().join(format!("{}.database", place.0));
            let process = Process::start(place, folder.path(), &all, (&nats.url_of(place.0), &database));
            if process.name == "api" {
                // Routers ask it while there is no nats-server.
                all.push(("TIDEGATE_URL".to_owned(), format!("http://{}", process.serves)));
            }
            processes.push(process);
        }
        let of = |name| {
            processes.iter().find(|process: &&Process| process.name == name).map(|process| process.serves.clone())
        };
        let (api, router) = (of("api").unwrap(), of("router").unwrap());
        let house = House::within(folder, api.parse().unwrap(), router.parse().unwrap());
        let plant = Self { processes, house, nats, postgres, outside };
        plant.until_ready().await;
        plant
    }

    pub(super) async fn until_ready(&self) {
        for process in &self.processes {
            process.until_ready(&self.house.client).await;
        }
    }

    /// One replica of a service.
    pub(super) fn one(&mut self, name: &str, replica: usize) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name == name && process.replica == replica);
        found.unwrap_or_else(|| panic!("there is no {name} {replica}"))
    }

    /// Where all replicas of a service listen.
    pub(super) fn urls(&self, name: &str) -> Vec<String> {
        let all = self.processes.iter().filter(|process| process.name == name);
        all.map(|process| format!("http://{}", process.serves)).collect()
    }

    /// Users behind a balancer of all routers.
    pub(super) fn users(&self, witness: &Witness) -> Traffic {
        let pages = self.processes.iter().filter(|process| process.name == "router");
        let pages = pages.map(|process| format!("http://{}/metrics", process.admin)).collect();
        let watch = witness.watch_all(&self.house.client, pages, self.urls("api"));
        traffic::balanced(&self.urls("router"), "reranker", witness, watch)
    }

    /// Which version answers a session at a router.
    pub(super) async fn ask_at(&self, router: usize, session: &str) -> String {
        let request = self.house.client.post(format!("{}/reranker/predict", self.urls("router")[router]));
        let answer = request.header("x-session-id", session).body("{}").send().await.unwrap();
        answer.headers()["x-model-version"].to_str().unwrap().to_owned()
    }

    /// Says a command until some API has answered it, as a careful client does: under one key.
    pub(super) async fn say(&self, path: &str, body: &Value) -> Value {
        self.saying(path.to_owned(), body.clone()).await.unwrap()
    }

    /// The same meanwhile.
    pub(super) fn saying(&self, path: String, body: Value) -> JoinHandle<Value> {
        let (client, apis, key) = (self.house.client.clone(), self.urls("api"), uuid::Uuid::new_v4().to_string());
        tokio::spawn(async move {
            let since = Instant::now();
            for api in apis.iter().cycle() {
                let request = client.post(format!("{api}{path}")).header("idempotency-key", &key).json(&body);
                let said = match request.send().await {
                    Ok(answer) if answer.status().is_success() => return answer.json().await.unwrap(),
                    Ok(answer) => answer.text().await.unwrap_or_default(),
                    Err(cause) => cause.to_string(),
                };
                assert!(since.elapsed() < LIMIT, "nobody takes {path} {body}: {said}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            unreachable!("there is an API")
        })
    }

    /// What some API says at a path, if one answers well.
    pub(super) async fn read(&self, path: &str) -> Option<Value> {
        for api in self.urls("api") {
            if let Ok(answer) = self.house.client.get(format!("{api}{path}")).send().await
                && answer.status().is_success()
            {
                return answer.json().await.ok();
            }
        }
        None
    }

    /// Promotes a version of the model and gives the rollout's id.
    pub(super) async fn promote(&self, version: &str, body: &Value) -> String {
        let answer = self.say(&format!("/v1/registry/reranker/{version}/promote"), body).await;
        answer["rollout_id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn store(&self) -> Store {
        Store::connect(&self.postgres.url(), 2).await.unwrap()
    }

    pub(super) async fn server(&self) -> Server {
        Server::at(self.nats.jetstream().await)
    }

    /// Waits until every message is published, nothing waits at any consumer, and the routers follow what is wished for.
    pub(super) async fn quiet(&self) {
        let (store, server) = (self.store().await, self.server().await);
        eventually("everything is published and settled", async || rests(&store, &server).await).await;
        store.close().await;
    }

    /// Whether everything that a service has committed is published.
    pub(super) async fn is_published(&self, service: &str) -> bool {
        let store = self.store().await;
        let waiting = store.reader().await.unwrap().rows().unpublished(service, 1).await.unwrap().0;
        store.close().await;
        waiting == 0
    }

    /// What the streams hold of messages that the database does not know.
    pub(super) async fn forgotten(&self) -> Vec<String> {
        let (store, mut forgotten) = (self.store().await, Vec::new());
        for id in self.server().await.ids().await {
            if !store.reader().await.unwrap().rows().is_said(&id).await.unwrap() {
                forgotten.push(id);
            }
        }
        store.close().await;
        forgotten
    }

    /// Runs a word of the command line beside the servers of this plant.
    pub(super) fn tidegate(&self, words: &[&str]) -> Output {
        let mut command = command("tidegate");
        command.args(words).env("TIDEGATE_NATS_URL", self.nats.url());
        command.env("TIDEGATE_DATABASE_URL_FILE", self.house.data().join("database")).output().unwrap()
    }

    /// Tells processes to end, and waits until each has ended well.
    pub(super) fn end(&mut self, is_meant: impl Fn(&Process) -> bool) {
        let mut meant: Vec<_> = self.processes.iter_mut().filter(|process| is_meant(process)).collect();
        meant.iter().for_each(|process| process.signal("TERM"));
        meant.iter_mut().for_each(|process| process.until_ended());
    }

    /// Ends all processes once they rest, the routers first, and gives what the invariants have against what they left behind and
    /// against what was seen meanwhile.
    pub(super) async fn violations(mut self, witness: &Witness) -> Vec<String> {
        self.quiet().await;
        self.end(|process| process.name == "router");
        self.quiet().await;
        self.end(|process| process.name != "router");
        let (store, server) = (self.store().await, self.server().await);
        let mut wrong = violations_of(&store, Some(&server)).await;
        wrong.extend(witness.violations_of(&store).await);
        store.close().await;
        wrong
    }

    /// Ends all processes, which must end well.
    pub(super) fn stop(mut self) {
        self.end(|_| true);
    }
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

    fn until_ended(&mut self) {
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

/// The role of a service in the database.
fn role(service: &str) -> String {
    format!("tidegate_{}", service.replace('-', "_"))
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

/// A file that holds the address of a database, which others may not read.
pub(super) fn secret(folder: &Path, url: &str) -> PathBuf {
    secret_in(folder, "database", url)
}

fn secret_in(folder: &Path, name: &str, url: &str) -> PathBuf {
    let database = folder.join(name);
    std::fs::write(&database, url).unwrap();
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o600)).unwrap();
    database
}
