//! `tidegate router`: a router in a process of its own, which follows a `tidegate up` that may come, die and come back.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, LIMIT, Upstream, answer, binary};

mod lease;
mod names;
mod outage;
mod waiting;

/// A running `tidegate router`.
pub(crate) struct Lone {
    child: Child,
    pub(crate) url: String,
    admin: String,
    folder: Arc<TempDir>,
}

impl Lone {
    pub(crate) fn start(name: &str, control: &str) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), (name, control), Stdio::inherit())
    }

    fn start_in(folder: Arc<TempDir>, (name, control): (&str, &str), log: Stdio) -> Self {
        let mut child = command(name, control, folder.path()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut place = |of: &str| {
            let line = lines.find_map(|line| line.ok().filter(|line| line.contains(of))).expect("it says where it is");
            line.split_whitespace().find(|text| text.starts_with("http://")).unwrap().to_owned()
        };
        let (url, admin) = (place("traffic"), place("admin"));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, admin, folder }
    }

    /// One whose log is given with it.
    fn start_logged(name: &str, control: &str) -> (Self, std::path::PathBuf) {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        (Self::start_in(folder, (name, control), file.into()), log)
    }

    /// `STOP` freezes it, `CONT` lets it go on.
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// `kill -9`; gives the folder.
    fn killed(mut self) -> Arc<TempDir> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Arc::clone(&self.folder)
    }

    /// SIGTERM; the process must end well.
    pub(crate) fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "tidegate router ended with {status}");
                return;
            }
            assert!(since.elapsed().as_secs() < 30, "tidegate router did not stop");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The version that answers a session, if the router has the model.
    async fn ask(&self, client: &reqwest::Client, session: u32) -> (u16, String) {
        let request =
            client.post(format!("{}/reranker/predict", self.url)).header("x-session-id", format!("s-{session}"));
        let answer = request.body("{}").send().await.unwrap();
        let version = answer.headers().get("x-model-version").map(|version| version.to_str().unwrap().to_owned());
        (answer.status().as_u16(), version.unwrap_or_default())
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(name: &str, control: &str, folder: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .env("TIDEGATE_LOG", "warn")
        .args(["router", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--name", name, "--control", control])
        .arg("--data")
        .arg(folder);
    command
}

/// Steps without judgement.
fn steps(splits: &[u32], dwell: &str) -> Value {
    let mut steps: Vec<_> = splits.iter().map(|split| json!({"split": split, "dwell": dwell})).collect();
    steps.push(json!({"split": 100, "dwell": "0s"}));
    json!({"name": "steps", "steps": steps})
}

/// Waits until a router is shown in this state.
async fn until_router(house: &House, name: &str, state: &str) -> Value {
    let is_it = |router: &&Value| router["name"] == name && router["state"] == state;
    let list =
        house.until("/v1/routers", |list| list["items"].as_array().unwrap().iter().any(|router| is_it(&router))).await;
    list["items"].as_array().unwrap().iter().find(is_it).unwrap().clone()
}

/// Two model servers, a house without a router, and its model `reranker` served by `1`.
async fn served_by(lone: &[&Lone], house: &House) -> (Upstream, Upstream) {
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    for lone in lone {
        assert_eq!(lone.ask(&house.client, 0).await, (200, "1".to_owned()));
    }
    (one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routers_alone_serve_a_rollout_agree_on_every_session_and_confirm_its_retreat() {
    let house = House::start_without_router();
    let (a, b) = (Lone::start("a", &house.api), Lone::start("b", &house.api));
    until_router(&house, "a", "live").await;
    until_router(&house, "b", "live").await;
    let _models = served_by(&[&a, &b], &house).await;
    let id = house.promote("reranker", "2", &json!({ "policy": steps(&[40], "1h") })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let mut candidates = 0;
    for session in 0..100 {
        let (status, version) = a.ask(&house.client, session).await;
        assert_eq!((status, version.clone()), b.ask(&house.client, session).await, "session {session}");
        candidates += u32::from(version == "2");
    }
    assert!((15..=65).contains(&candidates), "{candidates} of 100 sessions went to the candidate at 40 %");
    let (status, body) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "enough"})).await;
    assert!(matches!(status, 200 | 202), "{status} {body}");
    house.ended(&id).await;
    for session in 0..100 {
        assert_eq!(a.ask(&house.client, session).await, (200, "1".to_owned()));
        assert_eq!(b.ask(&house.client, session).await, (200, "1".to_owned()));
    }
    let adopted = async |name| until_router(&house, name, "live").await["adopted"]["default.reranker"].clone();
    assert_eq!(adopted("a").await, adopted("b").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_router_alone_counts_is_judged() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    let policy = json!({"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    let traffic = crate::traffic::start_at(&a.url, "reranker");
    let ended = house.ended(&id).await;
    assert_eq!(traffic.stop().await, 0);
    assert_eq!(ended["stage"], "completed", "{ended}");
}

#[tokio::test]
async fn a_router_without_its_control_plane_is_answered_with_the_reason_on_every_path() {
    let house = House::start_without_router();
    let put = async |name: &str, body: &Value| {
        answer(house.client.put(format!("{}/internal/routers/{name}", house.api)).json(body)).await
    };
    let hex = |digit: &str| digit.repeat(32);
    let state = json!({"boot": hex("a"), "home": hex("b"), "adopted": {}});
    let problem = |(status, body): (u16, Value), word: &str, expected: u16| {
        assert_eq!(status, expected, "{body}");
        assert_eq!(body["type"], format!("urn:tidegate:problem:{word}"), "{body}");
    };
    problem(put("embedded", &state).await, "bad-name", 422);
    problem(put("A_b", &state).await, "bad-name", 422);
    problem(put("r", &json!({"boot": 1})).await, "bad-body", 422);
    problem(put("r", &json!({"boot": "x", "home": hex("b"), "adopted": {}})).await, "bad-state", 422);
    let routes = "/internal/routes?router=r&boot=".to_owned() + &hex("a");
    problem(house.get(&routes).await, "not-introduced", 409);
    problem(house.get("/internal/routes?wait=1h").await, "bad-wait", 422);
    problem(house.get("/internal/routes?wait=soon").await, "bad-wait", 422);
    assert_eq!(put("r", &state).await.0, 204);
    assert_eq!(house.get(&routes).await.0, 200);
    problem(put("r", &json!({"boot": hex("c"), "home": hex("d"), "adopted": {}})).await, "name-taken", 409);
    let sample = json!({"id": format!("ro.r.{}.1", hex("a")), "sample": {"tenant": "default", "model": "nobody",
        "router": format!("r.{}", hex("a")), "generation": 1, "started_at": "2026-01-31T12:00:00Z",
        "sampled_at": "2026-01-31T12:00:00Z", "arms": []}});
    let post = async |sample: &Value| house.post("/internal/routers/r/samples", sample).await;
    problem(post(&sample).await, "bad-sample", 422);
    let other = |change: &dyn Fn(&mut Value)| {
        let mut sample = sample.clone();
        change(&mut sample);
        sample
    };
    problem(post(&other(&|sample| sample["id"] = json!("ro.r.b.1"))).await, "bad-sample", 422);
    problem(post(&other(&|sample| sample["sample"]["router"] = json!("r.b"))).await, "not-introduced", 409);
    problem(post(&json!({"id": 1})).await, "bad-body", 422);
}

#[tokio::test]
async fn routes_and_the_active_version_have_a_tag_and_are_told_again_only_when_they_changed() {
    let house = House::start();
    let one = Upstream::start("1").await;
    house.serves("reranker", "1", &one.url).await;
    for path in ["/internal/routes", "/internal/models/active?model=reranker", "/internal/models/active?type=RERANKER"]
    {
        let url = format!("{}{path}", house.api);
        let first = house.client.get(&url).send().await.unwrap();
        let tag = first.headers()["etag"].clone();
        assert_eq!(first.status(), 200, "{path}");
        let again = house.client.get(&url).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["etag"].clone()), (304, tag), "{path}");
    }
    let (_, active) = house.get("/internal/models/active?model=reranker").await;
    assert_eq!((&active["model"], &active["active"]["version"]), (&json!("reranker"), &json!("1")));
    assert!(active.get("canary").is_none(), "{active}");
    let (_, table) = house.get("/internal/routes").await;
    assert_eq!(table["routes"]["default.reranker"]["stable"], "1", "{table}");
    assert_eq!(table["choices"]["default.reranker"][0]["version"], "1", "{table}");
    for (path, status) in [("?model=nobody", 404), ("?type=NOTHING", 404), ("?model=a..b", 422), ("", 400)] {
        assert_eq!(house.get(&format!("/internal/models/active{path}")).await.0, status, "{path}");
    }
}
