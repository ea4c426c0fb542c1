//! A real `tidegate up` in a process of its own, and plain HTTP servers as its upstreams.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod upstream;

pub(crate) use upstream::Upstream;

/// Nothing that is waited for takes longer on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at what is waited for; a look costs both who asks and who is asked.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The binary, which `./x test` builds before the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.join("tidegate").is_file());
    folder.expect("no `tidegate` beside the tests: run `cargo build --workspace` first").join("tidegate")
}

/// A running `tidegate up`.
pub(crate) struct House {
    /// None when it runs in this process.
    child: Option<Child>,
    pub(crate) api: String,
    pub(crate) router: String,
    folder: Arc<TempDir>,
    pub(crate) client: reqwest::Client,
}

/// Where it listens, and whom it asks.
struct Places<'a> {
    api: &'a str,
    router: &'a str,
    prometheus: Option<&'a str>,
}

const ANYWHERE: Places<'_> = Places { api: "127.0.0.1:0", router: "127.0.0.1:0", prometheus: None };

impl House {
    pub(crate) fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// One that leaves the traffic to routers of their own.
    pub(crate) fn start_without_router() -> Self {
        let places = Places { router: "off", ..ANYWHERE };
        Self::start_with(Arc::new(tempfile::tempdir().unwrap()), Stdio::inherit(), &places)
    }

    /// One whose log goes into a file, which is given with it.
    pub(crate) fn start_logged() -> (Self, PathBuf) {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        (Self::start_with(folder, file.into(), &ANYWHERE), log)
    }

    /// One whose policies may ask a Prometheus.
    pub(crate) fn judged_from(prometheus: &str) -> Self {
        let places = Places { prometheus: Some(prometheus), ..ANYWHERE };
        Self::start_with(Arc::new(tempfile::tempdir().unwrap()), Stdio::inherit(), &places)
    }

    /// One with more in its environment.
    pub(crate) fn start_told(variables: &[(&str, &str)]) -> Self {
        Self::start_as(Arc::new(tempfile::tempdir().unwrap()), Stdio::inherit(), variables)
    }

    /// One over a folder that holds something already.
    pub(crate) fn start_in(folder: Arc<TempDir>) -> Self {
        Self::start_with(folder, Stdio::inherit(), &ANYWHERE)
    }

    /// A process over `folder`; `variables` go over what is set otherwise.
    pub(crate) fn start_as(folder: Arc<TempDir>, log: Stdio, variables: &[(&str, &str)]) -> Self {
        Self::try_start_as(folder, log, variables).expect("tidegate up ends before it says where it listens")
    }

    /// The same; `None` when the process ends before it says where it listens.
    pub(crate) fn try_start_as(folder: Arc<TempDir>, log: Stdio, variables: &[(&str, &str)]) -> Option<Self> {
        Self::try_start(folder, log, &ANYWHERE, variables)
    }

    /// One that tells receivers, with the variables that name them.
    pub(crate) fn start_telling(folder: Arc<TempDir>, receivers: &[(String, String)]) -> Self {
        let variables: Vec<_> = receivers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::start_as(folder, Stdio::inherit(), &variables)
    }

    fn start_with(folder: Arc<TempDir>, log: Stdio, places: &Places<'_>) -> Self {
        Self::try_start(folder, log, places, &[]).expect("tidegate up ends before it says where it listens")
    }

    fn try_start(folder: Arc<TempDir>, log: Stdio, places: &Places<'_>, variables: &[(&str, &str)]) -> Option<Self> {
        let mut child = Command::new(binary())
            .args(["up", "--listen", places.api, "--router", places.router, "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .envs(places.prometheus.map(|url| ("TIDEGATE_PROMETHEUS_URL", url)))
            .env("TIDEGATE_LOG", std::env::var("TIDEGATE_LOG").unwrap_or_else(|_| "error".to_owned()))
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |word: &str| {
            let line = lines.find_map(|line| line.ok().filter(|line| line.contains(word)))?;
            line.split_whitespace().find(|text| text.starts_with("http://")).map(str::to_owned)
        };
        let (Some(api), Some(router)) = (address("API"), address("traffic")) else {
            let _ = child.wait();
            return None;
        };
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child: Some(child), api, router, folder, client: client() })
    }

    /// One that runs in this process, at these addresses.
    pub(crate) fn within(folder: Arc<TempDir>, api: SocketAddr, router: SocketAddr) -> Self {
        let (api, router) = (format!("http://{api}"), format!("http://{router}"));
        Self { child: None, api, router, folder, client: client() }
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// `kill -9`, and a new process over the same folder.
    pub(crate) fn killed_and_started(self) -> Self {
        Self::start_in(self.kill())
    }

    /// `kill -9`; gives the folder.
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            child.wait().unwrap();
        }
        Arc::clone(&self.folder)
    }

    /// Waits until the process has ended by itself (`true`), or until what is at `path` is as it should be.
    pub(crate) async fn dies_or(&mut self, path: &str, is_so: impl Fn(&Value) -> bool) -> bool {
        let since = Instant::now();
        while since.elapsed() < LIMIT {
            if self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                return true;
            }
            if let Ok(answer) = self.client.get(format!("{}{path}", self.api)).send().await
                && is_so(&answer.json().await.unwrap_or_default())
            {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("neither an end nor what was waited for at {path}");
    }

    /// `kill -9`; what is left can be started again at the same address.
    pub(crate) fn killed(mut self) -> Ruin {
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        Ruin { folder: Arc::clone(&self.folder), api: self.api.clone() }
    }

    /// Waits until every service has settled what was said to it: a stop leaves the rest for the next start.
    pub(crate) async fn quiet(&self) {
        eventually("every consumer has settled everything", async || {
            let Ok(page) = self.client.get(format!("{}/metrics", self.api)).send().await else { return false };
            let page = page.text().await.unwrap_or_default();
            let mut lags = page.lines().filter(|line| line.starts_with("tidegate_consumer_lag_messages{")).peekable();
            lags.peek().is_some() && lags.all(|line| line.ends_with(" 0"))
        })
        .await;
    }

    /// SIGTERM; gives the folder, which lives as long as it is held, once the process has ended well.
    pub(crate) fn stop(mut self) -> Arc<TempDir> {
        let child = self.child.as_mut().unwrap();
        let pid = child.id().to_string();
        Command::new("kill").arg(pid).status().unwrap();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(15) {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "tidegate up ended with {status}");
                return Arc::clone(&self.folder);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("tidegate up did not stop within 15 s");
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.api))).await
    }

    /// The same; `None` when there was no answer.
    async fn heard(&self, path: &str) -> Option<(u16, Value)> {
        let answer = self.client.get(format!("{}{path}", self.api)).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.client.post(format!("{}{path}", self.api)).json(body)).await
    }

    /// Registers a model with its first version and waits until that one serves.
    pub(crate) async fn serves(&self, model: &str, version: &str, upstream: &str) {
        self.register("/v1/models", &json!({"name": model, "type": "RERANKER"})).await;
        self.version(model, version, upstream).await;
        self.until(&format!("/v1/models/{model}"), |model| {
            model["active"] == json!(version) && model["rollout"].is_null()
        })
        .await;
    }

    pub(crate) async fn version(&self, model: &str, version: &str, upstream: &str) {
        let body = json!({"version": version, "upstream": upstream});
        self.register(&format!("/v1/registry/{model}/versions"), &body).await;
    }

    async fn register(&self, path: &str, body: &Value) {
        registered(path, async || self.post(path, body).await).await;
    }

    /// Promotes and gives the rollout's id.
    pub(crate) async fn promote(&self, model: &str, version: &str, body: &Value) -> String {
        let (status, answer) = self.post(&format!("/v1/registry/{model}/{version}/promote"), body).await;
        assert_eq!(status, 202, "{answer}");
        answer["rollout_id"].as_str().unwrap().to_owned()
    }

    /// Waits until what is at `path` is as it should be.
    pub(crate) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let (status, value) = self.heard(path).await.unwrap_or((0, Value::Null));
            if status == 200 && is_so(&value) {
                return value;
            }
            assert!(since.elapsed() < LIMIT, "waited too long at {path}, last {status} {value}");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Waits for the end of a rollout.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let is_final = ["completed", "rolled_back", "rejected", "superseded", "cancelled"];
        self.until(&format!("/v1/rollouts/{id}"), |rollout| is_final.iter().any(|stage| rollout["stage"] == **stage))
            .await
    }

    /// One request of a session through the router; gives the status and the version that the router names.
    pub(crate) async fn ask(&self, model: &str, session: &str) -> (u16, String) {
        let request = self
            .client
            .post(format!("{}/{model}/predict", self.router))
            .header("x-session-id", session)
            .json(&json!({"text": "hello"}));
        let answer = request.send().await.unwrap();
        let version = answer.headers().get("x-model-version").map(|version| version.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let _ = answer.bytes().await;
        (status, version.unwrap_or_default())
    }
}

/// A killed `tidegate up` that had no router.
pub(crate) struct Ruin {
    folder: Arc<TempDir>,
    api: String,
}

impl Ruin {
    pub(crate) fn started(self) -> House {
        let places = Places { api: self.api.trim_start_matches("http://"), router: "off", ..ANYWHERE };
        House::start_with(self.folder, Stdio::inherit(), &places)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < LIMIT, "in vain: {what}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Asks until something is registered; a busy machine may need longer than the api waits for the registry's answer.
pub(crate) async fn registered(path: &str, ask: impl AsyncFn() -> (u16, Value)) {
    let since = Instant::now();
    loop {
        match ask().await {
            (200 | 201, _) => return,
            (503, _) if since.elapsed() < LIMIT => tokio::time::sleep(ASK_AGAIN).await,
            (status, said) => panic!("{path} answered {status} {said}"),
        }
    }
}

/// Puts an event into the stream of a stopped house, as another system or another release would have said it.
pub(crate) async fn slip_in(folder: &Path, subject: &str, event: &Value) {
    let said = store::Outgoing {
        service: "outside",
        message_id: event["id"].as_str().unwrap().to_owned(),
        rollout_id: None,
        subject: subject.to_owned(),
        headers: "{}".to_owned(),
        body: event.to_string(),
        created_at: rollout::At(1),
    };
    let store = store::Store::open(folder).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.say(&[said]).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
