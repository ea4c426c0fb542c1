//! A real `tidegate up` in a process of its own, driven over HTTP, and an upstream that is always well.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::http::{HistoryEntry, Page};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far above what anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A running process and its folder.
pub(crate) struct House {
    child: Child,
    pub(crate) api: Api,
    pub(crate) router: String,
    _folder: TempDir,
}

/// An API that is driven over HTTP.
#[derive(Clone)]
pub(crate) struct Api {
    url: String,
    client: reqwest::Client,
}

impl House {
    /// Starts the release binary beside this program, with more environment.
    pub(crate) fn start(environment: &[(&str, String)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(binary("tidegate")?)
            .args(["up", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("TIDEGATE_LOG", "off")
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start tidegate")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut address = |word: &str| {
            let line = lines.find_map(|line| line.ok().filter(|line| line.contains(word)));
            let line = line.with_context(|| format!("tidegate said nothing of `{word}`"))?;
            let url = line.split_whitespace().find(|text| text.starts_with("http://"));
            url.map(str::to_owned).with_context(|| format!("no address in `{line}`"))
        };
        let (api, router) = (address("API")?, address("traffic")?);
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, api: Api::at(api)?, router, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Api {
    pub(crate) fn at(url: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?;
        Ok(Self { url, client })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.client.get(format!("{}{path}", self.url)).send().await?.error_for_status()?.json().await?)
    }

    /// What is there, if anything: what was asked for and answered with 202 may not be there yet, and a busy API may say 503.
    async fn look(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await?;
        if [reqwest::StatusCode::NOT_FOUND, reqwest::StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status()) {
            return Ok(Value::Null);
        }
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Posts, and fails with the answer's own words.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.client.post(format!("{}{path}", self.url)).json(body).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        ensure!(status.is_success(), "POST {path}: {status}: {body}");
        Ok(body)
    }

    /// A model with version 1 in service and version 2 registered, both at `upstream`.
    pub(crate) async fn model(&self, name: &str, upstream: SocketAddr) -> anyhow::Result<()> {
        let url = format!("http://{upstream}");
        self.post("/v1/models", &json!({"name": name, "type": "BENCH"})).await?;
        for version in ["1", "2"] {
            let path = format!("/v1/registry/{name}/versions");
            self.post(&path, &json!({"version": version, "upstream": url})).await?;
            self.until(&format!("/v1/models/{name}"), |model| {
                model["active"] == json!("1") && model["rollout"].is_null()
            })
            .await?;
        }
        Ok(())
    }

    /// Asks for version 2; gives the rollout's id.
    pub(crate) async fn promote(&self, model: &str, policy: &Value) -> anyhow::Result<String> {
        let asked = json!({"target_stage": "canary", "policy": policy});
        let answer = self.post(&format!("/v1/registry/{model}/2/promote"), &asked).await?;
        answer["rollout_id"].as_str().map(str::to_owned).context("no rollout_id")
    }

    /// Waits until what is read there is as it should be.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let since = Instant::now();
        loop {
            let value = self.look(path).await?;
            if holds(&value) {
                return Ok(value);
            }
            ensure!(since.elapsed() < LIMIT, "in vain for {LIMIT:?}: {path}: {value}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) async fn stage(&self, id: &str, stage: &str) -> anyhow::Result<()> {
        self.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == json!(stage)).await.map(drop)
    }

    /// Milliseconds between two moves of a rollout: into `from`, and into `to`.
    pub(crate) async fn between_ms(&self, id: &str, from: &str, to: &str) -> anyhow::Result<f64> {
        let page: Page<HistoryEntry> = serde_json::from_value(self.get(&format!("/v1/rollouts/{id}/history")).await?)?;
        let at = |stage: &str| page.items.iter().find(|entry| entry.to.as_deref() == Some(stage)).map(|entry| entry.at);
        let (from, to) = at(from).zip(at(to)).with_context(|| format!("{id} did not go from {from} to {to}"))?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
        Ok(to.ms_since(from) as f64)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A binary of the release build, which `./x bench` makes before.
pub(crate) fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "no {name} beside this program: cargo build --release --workspace --bins");
    Ok(path)
}

/// A model server that is always well; it lives as long as the program.
pub(crate) async fn upstream() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().fallback(|| async { axum::Json(json!({"status": "ok"})) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// One long step at half of the traffic, judged by outcomes that are posted.
pub(crate) fn policy() -> Value {
    json!({
        "name": "bench",
        "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "hallucination_rate", "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s",
                    "window": "step", "method": "threshold"}],
        "tick": "5s", "warmup": "0s"
    })
}
