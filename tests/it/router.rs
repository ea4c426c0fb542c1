//! The router's data plane, with real sockets: upstreams are plain servers that each test starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::serving::{Held, Word};
use rollout::Share;
use rollout::{Arm, Direction, Match, NoKey, OnDrift, Route};
use rollout::{Model, RolloutId, Tenant, Version};
use router::{Adoption, ArmCount, Config, Limits, Proxy, Running, TrustedPeers};

mod adopting;
mod choosing;
mod counting;
mod ending;
mod failing;
mod holding;
mod overriding;
mod passing;
mod streaming;
mod tunnelling;
mod upstream;

/// What a router writes.
const FILES: [&str; 2] = ["routes.log", "routes.json.next"];

/// A started router, its folder and a client.
struct Kit {
    running: Running,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl Kit {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::of(limits, TrustedPeers::default()).await
    }

    async fn of(limits: Limits, trusted: TrustedPeers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = start_with(folder.path(), limits, trusted).await;
        Self { running, folder, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// A router that serves `model` by these arms, candidates first.
    async fn serving(model: &str, arms: &[(&str, u32, SocketAddr)]) -> Self {
        let kit = Self::start().await;
        kit.adopt(route(model, 1, arms)).await;
        kit
    }

    async fn adopt(&self, route: Route) {
        assert_eq!(self.running.routes.adopt(route).await, Adoption::Adopted);
    }

    /// From now on nothing can be saved: folders are in the places of the files.
    fn block_disk(&self) {
        let _ = std::fs::remove_file(self.folder.path().join(FILES[0]));
        FILES.iter().for_each(|name| std::fs::create_dir(self.folder.path().join(name)).unwrap());
    }

    fn free_disk(&self) {
        FILES.iter().for_each(|name| std::fs::remove_dir(self.folder.path().join(name)).unwrap());
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    async fn get_as(&self, path: &str, session: &str) -> reqwest::Response {
        self.http.get(self.url(path)).header("x-session-id", session).send().await.unwrap()
    }

    fn count(&self, version: &str) -> ArmCount {
        let counts = self.running.counts.snapshot();
        counts.into_iter().find(|count| count.version.as_str() == version).expect("the version was served")
    }

    /// Waits until the counts of a version are as wished.
    async fn await_count(&self, version: &str, wished: impl Fn(&ArmCount) -> bool) -> ArmCount {
        until(|| Some(self.count(version)).filter(&wished)).await
    }
}

async fn start_in(folder: &Path, limits: Limits) -> Running {
    start_with(folder, limits, TrustedPeers::default()).await
}

async fn start_with(folder: &Path, limits: Limits, trusted: TrustedPeers) -> Running {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { listen, state_dir: folder.to_owned(), router: "r1".to_owned(), limits, trusted };
    Proxy::start(config).await.unwrap()
}

fn arm(version: &str, address: SocketAddr) -> Arm {
    Arm {
        version: Version::new(version).unwrap(),
        basis_points: Share::ZERO,
        upstream: format!("http://{address}"),
        headers: BTreeMap::new(),
    }
}

/// A route of tenant `default` at `/{model}`; the last arm is the stable one.
fn route(model: &str, generation: i64, arms: &[(&str, u32, SocketAddr)]) -> Route {
    let (tenant, model) = (Tenant::default_tenant(), Model::new(model).unwrap());
    let arm = |(version, points, address): &(&str, u32, SocketAddr)| Arm {
        basis_points: Share::of_basis_points(*points).unwrap(),
        ..arm(version, *address)
    };
    Route {
        matches: Match::default_for(&tenant, &model),
        tenant,
        model,
        generation,
        rollout_id: (arms.len() > 1).then(|| rollout_id("1")),
        direction: Direction::Forward,
        lease_seconds: None,
        hang_after_ms: None,
        by_size: Vec::new(),
        silent_after_ms: None,
        on_drift: OnDrift::Restore,
        sample_ms: None,
        stopped: false,
        salt: "salt".to_owned(),
        stable: Version::new(arms.last().unwrap().0).unwrap(),
        arms: arms.iter().map(arm).collect(),
    }
}

fn rollout_id(number: &str) -> RolloutId {
    RolloutId::of("/tests", number)
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Waits for a condition, at most five seconds.
async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the condition was not met in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
