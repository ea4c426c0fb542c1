//! The distributed form: every service in a process of its own, one nats-server, one PostgreSQL. The router has no database.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, LIMIT, Upstream, binary};
use crate::nats::Nats;
use crate::postgres::Postgres;
use crate::traffic;

const SERVICES: [&str; 8] =
    ["registry-writer", "stage-scheduler", "analyzer", "traffic-updater", "deployer", "notifier", "api", "router"];
/// A process that is told to end has ended by then.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// All processes, and what they meet over.
struct Plant {
    processes: Vec<Process>,
    /// The API and the router, as of `tidegate up`.
    house: House,
    nats: Nats,
    _postgres: Postgres,
}

struct Process {
    name: &'static str,
    command: Command,
    child: Child,
    admin: String,
}

impl Plant {
    async fn start() -> Self {
        let (nats, postgres) = (Nats::start(), Postgres::start_with(&["fsync=off", "max_connections=100"]));
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let database = folder.path().join("database");
        std::fs::write(&database, postgres.url()).unwrap();
        std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o600)).unwrap();
        for words in [&["init", "--small"][..], &["migrate"]] {
            let mut tidegate = command("tidegate");
            tidegate.args(words).env("TIDEGATE_NATS_URL", nats.url()).env("TIDEGATE_DATABASE_URL_FILE", &database);
            let out = tidegate.output().unwrap();
            assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        let (api, router) = (free_address(), free_address());
        let variables = [
            ("TIDEGATE_NATS_URL", nats.url()),
            ("TIDEGATE_DATABASE_URL_FILE", database.display().to_string()),
            ("TIDEGATE_LISTEN", api.clone()),
            ("TIDEGATE_ROUTER", router.clone()),
        ];
        let processes = SERVICES.map(|name| Process::start(name, &folder, &variables)).into_iter().collect();
        let house = House::within(folder, api.parse().unwrap(), router.parse().unwrap());
        let plant = Self { processes, house, nats, _postgres: postgres };
        for process in &plant.processes {
            process.until_ready(&plant.house.client).await;
        }
        plant
    }

    /// Tells all processes to end, and waits until each has ended well.
    fn stop(mut self) {
        for process in &self.processes {
            Command::new("kill").arg(process.child.id().to_string()).status().unwrap();
        }
        let since = Instant::now();
        for process in &mut self.processes {
            let status = loop {
                if let Some(status) = process.child.try_wait().unwrap() {
                    break status;
                }
                assert!(since.elapsed() < STOP_LIMIT, "{} does not end", process.name);
                std::thread::sleep(Duration::from_millis(5));
            };
            assert!(status.success(), "{} ended with {status}", process.name);
        }
    }
}

impl Process {
    fn start(name: &'static str, folder: &TempDir, variables: &[(&str, String)]) -> Self {
        let admin = free_address();
        let mut command = command(name);
        command
            .env("TIDEGATE_DATA", folder.path().join(name))
            .env("TIDEGATE_ADMIN", &admin)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        Self { name, child: command.spawn().unwrap(), command, admin }
    }

    /// `kill -9`, and the same again.
    fn killed_and_started(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
    }

    async fn until_ready(&self, client: &reqwest::Client) {
        let since = Instant::now();
        let page = format!("http://{}/readyz", self.admin);
        while !client.get(&page).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(since.elapsed() < LIMIT, "{} is not ready", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A binary beside `tidegate`, with nothing of the test's environment that would be for it.
fn command(name: &str) -> Command {
    let mut command = Command::new(binary().parent().unwrap_or(Path::new(".")).join(name));
    command.env("TIDEGATE_LOG", std::env::var("TIDEGATE_LOG").unwrap_or_else(|_| "error".to_owned()));
    command.env_remove("TIDEGATE_NATS_URL").env_remove("TIDEGATE_DATABASE_URL_FILE");
    command
}

/// An address that nobody uses at this moment.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Two model servers, the first of which serves.
async fn served(house: &House) -> [Upstream; 2] {
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    upstreams
}

fn judged_by(check: &str) -> Value {
    json!({"policy": {"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": check, "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_their_own_promote_a_version_that_does_well() {
    let plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("error_rate")).await;
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(plant.house.ask("reranker", "s").await, (200, "2".to_owned()));
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_their_own_turn_back_from_a_version_that_does_badly() {
    let plant = Plant::start().await;
    let upstreams = served(&plant.house).await;
    upstreams[1].observe("hallucination=1");
    upstreams[0].observe("hallucination=0");
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("hallucination_rate")).await;
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    assert_eq!(plant.house.ask("reranker", "s").await, (200, "1".to_owned()));
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_survives_the_death_of_every_service_and_of_the_server() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("error_rate")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    // Whoever asks a router notices its death; nobody else's.
    for process in plant.processes.iter_mut().filter(|process| process.name != "router") {
        process.killed_and_started();
        process.until_ready(&plant.house.client).await;
    }
    plant.nats.kill();
    plant.nats.start_again();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_the_traffic_back_while_the_other_services_are_dead() {
    let mut plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let slow = json!({"policy": {"name": "slow", "steps": [{"split": 100, "dwell": "10m"}]}});
    let id = plant.house.promote("reranker", "2", &slow).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert_eq!(plant.house.ask("reranker", "s").await.1, "2");
    for process in plant.processes.iter_mut().filter(|process| !["api", "router"].contains(&process.name)) {
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }
    let (status, said) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    // It is not recorded that the rollout has turned back: nobody is there to do that.
    assert_eq!((status, &said["applied"]), (202, &json!(false)), "{said}");
    assert_eq!(plant.house.ask("reranker", "s").await.1, "1");
    for process in plant.processes.iter_mut().filter(|process| !["api", "router"].contains(&process.name)) {
        process.child = process.command.spawn().unwrap();
    }
    assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    plant.stop();
}

#[test]
fn a_process_of_its_own_says_all_that_it_lacks() {
    for (name, lacks) in [("analyzer", 2), ("router", 1)] {
        let out = command(name).env("TIDEGATE_LOG", "info").stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!((out.status.code(), said.matches(": is missing").count()), (Some(1), lacks), "{said}");
    }
}
