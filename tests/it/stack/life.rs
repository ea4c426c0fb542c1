//! A stack that runs, and what is asked of it.

use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, jetstream};
use futures_util::future::join_all;
use receiversim::Receivers;
use reqwest::Method;
use rollout::RolloutId;
use serde_json::{Value, json};
use store::Store;
use tidegate::load::{Load, LoadPlan};

use super::SERVICES;
use super::containers::{Form, addresses, ill};
use crate::checker::{Server, rests, violations_of};
use crate::house::{eventually, registered};
use crate::notifying::outside::KEY;

/// Whoever does not answer for so long is not there.
const LIMIT: Duration = Duration::from_secs(120);
const API: &str = "http://127.0.0.1:7070";

pub(super) struct Stack {
    pub(super) client: reqwest::Client,
    pub(super) form: Form,
    key: String,
    since: Instant,
    /// Other systems, once one has spoken.
    outside: tokio::sync::OnceCell<jetstream::Context>,
}

impl Stack {
    /// Starts everything from nothing but these secrets of receivers, and says how long that took.
    pub(super) async fn up(form: Form, secrets: &[(&str, &str)]) -> (Self, Duration) {
        form.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]);
        secrets.iter().for_each(|(of, secret)| form.keep(of, secret));
        let since = Instant::now();
        form.said(&["up", "-d"]);
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let mut stack = Self { client, form, key: String::new(), since, outside: tokio::sync::OnceCell::new() };
        stack.until_healthy().await;
        let took = since.elapsed();
        stack.key = stack.form.said(&["exec", "-T", "api", "cat", "/run/tidegate/admin-key"]);
        (stack, took)
    }

    /// The same with Slack and PagerDuty, which are in this process.
    pub(super) async fn telling() -> (Self, Receivers, Duration) {
        let receivers = Receivers::start_on("0.0.0.0:0".parse().unwrap()).await.unwrap();
        let hook = format!("http://receivers:{}/services/T0/B0/hush", receivers.port);
        let secrets = [("notifier/pagerduty", KEY), ("notifier/slack", &hook)];
        let (stack, took) = Self::up(Form::telling(receivers.port), &secrets).await;
        (stack, receivers, took)
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Says what has happened, and how long after the start.
    #[expect(clippy::print_stdout, reason = "what takes the time is what a run has to say")]
    pub(super) fn tell(&self, what: &str) {
        println!("{:>6.1} s  {what}", self.since.elapsed().as_secs_f64());
    }

    /// Until every service says that it is ready, and everything else is well. Docker asks each five seconds only; HAProxy may not
    /// know it yet.
    pub(super) async fn until_ready(&self) {
        until_none(async || self.not_ready().await).await;
    }

    /// Until Docker says so.
    pub(super) async fn until_healthy(&self) {
        until_none(async || ill()).await;
    }

    async fn not_ready(&self) -> Vec<(String, String)> {
        let mut late = ill();
        late.retain(|(service, _)| !SERVICES.contains(&service.as_str()));
        let there = addresses("control");
        let is_missing = |service: &&str| there.iter().all(|(name, _)| name != service);
        late.extend(
            SERVICES.into_iter().filter(is_missing).map(|service| (service.to_owned(), "is not there".to_owned())),
        );
        let asked = there.iter().filter(|(service, _)| SERVICES.contains(&service.as_str()));
        let answers = join_all(asked.map(async |(service, address)| {
            let asked = self.client.get(format!("http://{address}:7090/readyz")).timeout(Duration::from_secs(1));
            let is_ready = asked.send().await.is_ok_and(|answer| answer.status().is_success());
            (!is_ready).then(|| (service.clone(), "is not ready".to_owned()))
        }));
        late.extend(answers.await.into_iter().flatten());
        late
    }

    /// Until users of a model are answered.
    pub(super) async fn until_served(&self, model: &str) {
        eventually("users are answered", async || {
            let asked =
                self.client.post(format!("http://127.0.0.1:7080/{model}/predict")).json(&json!({"text": "hello"}));
            asked.send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{API}{path}")).header("x-api-key", &self.key);
        match request.json(body).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or_default()),
            Err(error) => (0, json!(error.to_string())),
        }
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        self.send(Method::GET, path, &json!({})).await.1
    }

    pub(super) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
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

    /// Turns the dials of a model server, which this machine reaches by its address on the network of models.
    pub(super) async fn turn(&self, server: &str, dials: &Value) {
        eventually("a model server turns its dials", async || {
            let url = format!("http://{}:8080/dials", self.form.address(server, "traffic"));
            let answer = self.client.patch(url).json(dials).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    pub(super) async fn policy(&self, policy: &Value) {
        let name = policy["name"].as_str().unwrap();
        let (status, said) = self.send(Method::PUT, &format!("/v1/policies/{name}"), policy).await;
        assert_eq!(status, 200, "{said}");
    }

    /// A model whose versions are these model servers, the first of which serves.
    pub(super) async fn model(&self, name: &str, upstreams: &[&str]) {
        self.register("/v1/models", &json!({"name": name, "type": "RERANKER"})).await;
        for (number, upstream) in upstreams.iter().enumerate() {
            let version = json!({"version": (number + 1).to_string(), "upstream": format!("http://{upstream}:8080")});
            self.register(&format!("/v1/registry/{name}/versions"), &version).await;
        }
        self.until(&format!("/v1/models/{name}"), |model| model["active"] == "1").await;
    }

    async fn register(&self, path: &str, body: &Value) {
        registered(path, async || self.send(Method::POST, path, body).await).await;
    }

    /// Asks for a version as another system does: by a NATS publish, with its own nkey.
    pub(super) async fn promote(&self, model: &str, version: &str, policy: &str, id: &str) -> RolloutId {
        let outside = self.outside.get_or_init(async || {
            let seed = self.form.secret("outside-default/nkey");
            let options = ConnectOptions::with_nkey(seed).custom_inbox_prefix("_INBOX.outside-default");
            jetstream::new(options.connect("nats://127.0.0.1:4222").await.unwrap())
        });
        let event = json!({"specversion": "1.0", "id": id, "source": "/ci", "type": "dev.tidegate.version.promote.v1",
            "data": {"version": version, "policy": policy}});
        let subject = format!("tg.in.default.{model}.version.promote");
        let outside = outside.await;
        // The same again is no second rollout.
        eventually("the stream has taken it", async || {
            match outside.publish(subject.clone(), event.to_string().into()).await {
                Ok(taken) => taken.await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
        RolloutId::of("/ci", id)
    }

    pub(super) async fn rollout(&self, id: &RolloutId, holds: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("/v1/rollouts/{id}"), holds).await
    }

    /// Somebody takes the traffic back.
    pub(super) async fn rolls_back(&self, id: &RolloutId) {
        self.rollout(id, |rollout| rollout["stage"] == "observing").await;
        let (status, said) =
            self.send(Method::POST, &format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "seen"})).await;
        assert!([200, 202].contains(&status), "{status} {said}");
        assert_eq!(self.ended(id).await, "rolled_back");
    }

    /// The stage in which a rollout ended.
    pub(super) async fn ended(&self, id: &RolloutId) -> String {
        let rollout = self.rollout(id, |rollout| is_final(&rollout["stage"])).await;
        rollout["stage"].as_str().unwrap().to_owned()
    }
}

/// For who looks behind the curtain, as an administrator may.
impl Stack {
    pub(super) async fn store(&self) -> Store {
        let url = self.form.secret("admin/database");
        let here = format!("{}:5432", self.form.address("postgres", "control"));
        Store::connect(&url.replace("postgres:5432", &here), 2).await.unwrap()
    }

    pub(super) async fn bus(&self) -> jetstream::Context {
        let options = ConnectOptions::with_nkey(self.form.secret("admin/nkey"));
        let url = format!("nats://{}:4222", self.form.address("nats", "control"));
        jetstream::new(options.connect(url).await.unwrap())
    }

    /// Ends all services once they rest, the routers first, and gives what the invariants have against what they left behind.
    pub(super) async fn violations(&self) -> Vec<String> {
        let (store, server) = (self.store().await, Server::at(self.bus().await));
        for services in [&SERVICES[7..], &SERVICES[..7]] {
            eventually("everything is published and settled", async || rests(&store, &server).await).await;
            self.form.said(&[&["stop"], services].concat());
        }
        let wrong = violations_of(&store, Some(&server)).await;
        store.close().await;
        wrong
    }
}

/// Asks until nothing is late any more: services, each with what is wrong.
async fn until_none(late: impl AsyncFn() -> Vec<(String, String)>) {
    let since = Instant::now();
    loop {
        let late = late().await;
        if late.is_empty() {
            return;
        }
        assert!(since.elapsed() < LIMIT, "{late:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_final(stage: &Value) -> bool {
    ["completed", "rolled_back", "cancelled", "failed", "rejected"].iter().any(|last| stage == last)
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.form.compose(&["logs", "--tail", "15", "--no-color"]);
            print_all(&String::from_utf8_lossy(&logs.stdout));
        }
        self.form.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]);
    }
}

#[expect(clippy::print_stderr, reason = "what containers said goes with them")]
fn print_all(text: &str) {
    eprintln!("{text}");
}

/// Users of a model, through the port that the stack publishes. A router that stands still answers late, which is no failure.
pub(super) fn users(model: &str, rate_per_second: f64) -> Load {
    let url = format!("http://127.0.0.1:7080/{model}/predict").parse().unwrap();
    Load::start(LoadPlan { rate_per_second, timeout: Duration::from_secs(60), ..LoadPlan::new(url) })
}
