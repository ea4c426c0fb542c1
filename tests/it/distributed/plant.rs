//! A plant: every service in processes of its own, as many replicas as wanted, with one nats-server and one PostgreSQL.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use store::Store;
use tokio::task::JoinHandle;

use super::process::{Process, command};
use crate::checker::{Server, rests, violations_of};
use crate::house::{House, LIMIT, eventually};
use crate::nats::Nats;
use crate::notifying::outside::Outside;
use crate::traffic::{self, Traffic};
use crate::witness::Witness;
use servers::Postgres;

pub(super) const SERVICES: [&str; 8] =
    ["registry-writer", "stage-scheduler", "analyzer", "traffic-updater", "deployer", "notifier", "api", "router"];

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

/// The role of a service in the database.
fn role(service: &str) -> String {
    format!("tidegate_{}", service.replace('-', "_"))
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
