//! The stack of `compose.yaml` as a user starts it: real containers, keys, permissions, two routers behind HAProxy.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, jetstream};
use rollout::RolloutId;
use serde_json::{Value, json};
use tidegate::load::{Load, LoadPlan};

use crate::house::eventually;

/// Of the containers, so that nobody else's stack on this machine is touched.
const PROJECT: &str = "tidegate-tests";
/// A model server that fails.
const FAULTY: &str = "tidegate-tests-faulty";
/// Made by `./x test` around the debug build, beside whatever image somebody uses.
const IMAGE: &str = "tidegate:test";
/// Whoever does not answer for so long is not there.
const LIMIT: Duration = Duration::from_secs(120);
/// From built images to all healthy.
const UP_LIMIT: Duration = Duration::from_secs(40);
/// Everything is as before so long after whatever happened.
const RECOVERY: Duration = Duration::from_secs(30);
/// Requests a second from users.
const RATE: f64 = 50.0;

/// Every service, in the order in which they are replaced.
const SERVICES: [&str; 9] = [
    "registry-writer",
    "stage-scheduler",
    "analyzer",
    "traffic-updater",
    "deployer",
    "notifier",
    "api",
    "router-a",
    "router-b",
];

struct Stack {
    client: reqwest::Client,
    key: String,
}

impl Stack {
    /// Starts everything from nothing, and says how long that took.
    async fn up() -> (Self, Duration) {
        docker(&["rm", "-f", FAULTY]);
        compose(&["down", "--volumes", "--timeout", "5"]);
        let since = Instant::now();
        let out = compose(&["up", "-d"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let mut stack = Self { client, key: String::new() };
        stack.until_healthy().await;
        let took = since.elapsed();
        stack.key = said(&["exec", "-T", "api", "cat", "/run/tidegate/admin-key"]);
        (stack, took)
    }

    async fn until_healthy(&self) {
        let since = Instant::now();
        loop {
            let ill: Vec<_> = containers().into_iter().filter(|(_, status)| is_ill(status)).collect();
            if ill.is_empty() {
                return;
            }
            assert!(since.elapsed() < LIMIT, "{ill:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, format!("http://127.0.0.1:7070{path}"));
        let answer = request.header("x-api-key", &self.key).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn read(&self, path: &str) -> Value {
        let request = self.client.get(format!("http://127.0.0.1:7070{path}")).header("x-api-key", &self.key);
        match request.send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let value = self.read(path).await;
            if holds(&value) {
                return value;
            }
            assert!(since.elapsed() < LIMIT, "in vain at {path}: {value}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A model whose versions are these model servers, the first of which serves.
    async fn model(&self, name: &str, upstreams: &[&str]) {
        let post = reqwest::Method::POST;
        let (status, said) = self.send(post.clone(), "/v1/models", &json!({"name": name, "type": "RERANKER"})).await;
        assert_eq!(status, 201, "{said}");
        for (number, upstream) in upstreams.iter().enumerate() {
            let version = json!({"version": (number + 1).to_string(), "upstream": format!("http://{upstream}:8080")});
            let (status, said) = self.send(post.clone(), &format!("/v1/registry/{name}/versions"), &version).await;
            assert_eq!(status, 201, "{said}");
        }
        self.until(&format!("/v1/models/{name}"), |model| model["active"] == "1").await;
    }

    /// Asks for a version as another system does: by a plain NATS publish, with its own nkey.
    async fn promote(&self, model: &str, version: &str, id: &str) -> RolloutId {
        let seed = said(&["run", "--rm", "-T", "setup", "cat", "/secrets/outside-default/nkey"]);
        let options = ConnectOptions::with_nkey(seed).custom_inbox_prefix("_INBOX.outside-default");
        let outside = jetstream::new(options.connect("nats://127.0.0.1:4222").await.unwrap());
        let event = json!({"specversion": "1.0", "id": id, "source": "/ci", "type": "dev.tidegate.version.promote.v1",
            "data": {"version": version, "policy": "quick"}});
        let subject = format!("tg.in.default.{model}.version.promote");
        outside.publish(subject, event.to_string().into()).await.unwrap().await.unwrap();
        RolloutId::of("/ci", id)
    }

    /// The stage in which a rollout ended.
    async fn ended(&self, id: &RolloutId) -> String {
        let is_final = |stage: &str| ["completed", "rolled_back", "cancelled", "failed", "rejected"].contains(&stage);
        let path = format!("/v1/rollouts/{id}");
        let rollout = self.until(&path, |rollout| rollout["stage"].as_str().is_some_and(is_final)).await;
        rollout["stage"].as_str().unwrap().to_owned()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = compose(&["logs", "--tail", "15", "--no-color"]);
            eprintln_all(&String::from_utf8_lossy(&logs.stdout));
        }
        docker(&["rm", "-f", FAULTY]);
        compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

#[expect(clippy::print_stderr, reason = "what containers said goes with them")]
fn eprintln_all(text: &str) {
    eprintln!("{text}");
}

/// Docker Compose, in either of its forms.
fn compose(words: &[&str]) -> Output {
    let mut command = match Command::new("docker").args(["compose", "version"]).output() {
        Ok(out) if out.status.success() => {
            let mut command = Command::new("docker");
            command.arg("compose");
            command
        }
        _ => Command::new("docker-compose"),
    };
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("COMPOSE_PROJECT_NAME", PROJECT)
        .env("TIDEGATE_IMAGE", IMAGE);
    command.args(words).output().unwrap()
}

fn said(words: &[&str]) -> String {
    let out = compose(words);
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn docker(words: &[&str]) -> Output {
    Command::new("docker").args(words).output().unwrap()
}

/// The containers of the stack, each with its status.
fn containers() -> Vec<(String, String)> {
    let filter = format!("label=com.docker.compose.project={PROJECT}");
    let out = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.Status}}"]);
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, status)| (name.to_owned(), status.to_owned()))
        .collect()
}

fn is_ill(status: &str) -> bool {
    ["starting", "unhealthy", "Restarting", "Created"].iter().any(|word| status.contains(word))
        || status.starts_with("Exited") && !status.starts_with("Exited (0)")
}

/// Puts a new container into the place of a service's, with another address.
fn replaced(service: &str) {
    let before = container(service);
    said(&["up", "-d", "--no-deps", "--force-recreate", service]);
    assert_ne!(container(service), before);
}

/// The container of a service.
fn container(service: &str) -> String {
    said(&["ps", "-q", service])
}

fn quick() -> Value {
    json!({"name": "quick", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 25, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.2}, "min_samples": 20, "interval": "5s", "window": "step"}]})
}

fn users(model: &str) -> Load {
    let url = format!("http://127.0.0.1:7080/{model}/predict").parse().unwrap();
    Load::start(LoadPlan { rate_per_second: RATE, ..LoadPlan::new(url) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_comes_up_rolls_out_and_back_and_outlives_whatever_is_killed_or_replaced() {
    let (stack, took) = Stack::up().await;
    println!("all healthy after {:.1} s", took.as_secs_f64());
    assert!(took < UP_LIMIT, "{took:?}");
    assert_eq!(stack.client.get("http://127.0.0.1:7070/v1/models").send().await.unwrap().status(), 401);
    let (status, said) = stack.send(reqwest::Method::PUT, "/v1/policies/quick", &quick()).await;
    assert_eq!(status, 200, "{said}");
    let faulty = ["run", "-d", "--name", FAULTY, "--network", "tidegate-tests_traffic", "--network-alias", "faulty"];
    let dials = [
        "-e",
        "MODELSIM_LISTEN=0.0.0.0:8080",
        "-e",
        "MODEL_VERSION=2",
        "-e",
        r#"MODELSIM_DIALS={"error_rate": 0.6}"#,
        IMAGE,
        "modelsim",
    ];
    assert!(docker(&[&faulty[..], &dials].concat()).status.success());
    stack.model("good", &["modelsim-v1", "modelsim-v2"]).await;
    stack.model("bad", &["modelsim-v1", "faulty"]).await;

    // Promoted by another system: one is better, one is worse.
    let (of_good, of_bad) = (users("good"), users("bad"));
    let (good, bad) = (stack.promote("good", "2", "build-1").await, stack.promote("bad", "2", "build-2").await);
    assert_eq!((stack.ended(&good).await.as_str(), stack.ended(&bad).await.as_str()), ("completed", "rolled_back"));
    stack.until("/v1/models/good", |model| model["active"] == "2").await;
    assert_eq!(stack.read("/v1/models/bad").await["active"], "1");

    // Each is replaced while the next rollout is on its way: nobody notices.
    let again = stack.promote("good", "1", "build-3").await;
    for service in SERVICES {
        replaced(service);
        stack.until_healthy().await;
    }
    assert_eq!(stack.ended(&again).await, "completed");
    let (replaced, bad) = (of_good.stop().await, of_bad.stop().await);
    assert_eq!((replaced.failed_by_us, bad.failed_by_us), (0, 0), "{:?} {:?}", replaced.failures, bad.failures);
    println!("{} requests while everything was replaced, none failed by us", replaced.requests + bad.requests);

    // Each is killed, the servers too, while another rollout is on its way: it ends as it should, and everything comes back alone.
    let of_good = users("good");
    let again = stack.promote("good", "2", "build-4").await;
    for service in SERVICES.iter().filter(|service| **service != "router-b").chain(&["nats", "postgres", "prometheus"])
    {
        let id = container(service);
        for word in ["kill", "start"] {
            let out = docker(&[word, &id]);
            assert!(out.status.success(), "{word} {service}: {}", String::from_utf8_lossy(&out.stderr));
        }
    }
    let since = Instant::now();
    stack.until_healthy().await;
    println!("all healthy {:.1} s after the last kill", since.elapsed().as_secs_f64());
    assert!(since.elapsed() < RECOVERY, "{:?}", since.elapsed());
    assert_eq!(stack.ended(&again).await, "completed");
    let killed = of_good.stop().await;
    println!("{} requests while everything was killed, failed by us: {:?}", killed.requests, killed.failures);
    // What the router that was killed had in hand, and what came before HAProxy had noticed.
    assert!(killed.failed_by_us * 50 <= killed.requests, "{:?}", killed.failures);
    eventually("no message is parked", async || stack.read("/v1/parked").await["items"] == json!([])).await;
}
