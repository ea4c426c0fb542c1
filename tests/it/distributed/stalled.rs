//! Somebody dies or stands still in the middle of something (F6, F21, F30, F34): it is done once, by the same or by another.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use axum::extract::State;
use proto::Stamp;
use rollout::{At, RolloutId, Verb};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::plant::Plant;
use super::{served, steps};
use crate::house::{LIMIT, eventually};
use crate::sim::people;
use crate::witness::Witness;

const ARMED: &str = "TIDEGATE_FAILPOINT";
/// Questions with which the analyzer dies.
const DEATHS: usize = 3;
/// Messages that come while their consumer stands still: two seconds of 2,000 a second.
const STORM: usize = 4_000;
/// A consumer's memory with all of them waiting, in MiB.
const MEMORY_MAX: u64 = 200;
/// The routers have heard a rollback by then, whatever its consumer does.
const RETREAT: Duration = Duration::from_secs(2);

/// A Prometheus that answers nobody until it is told to, and remembers the instants that it was asked about.
struct Slow {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    answers: watch::Sender<bool>,
}

#[derive(Clone)]
struct Desk {
    asked: Arc<Mutex<Vec<String>>>,
    answers: watch::Receiver<bool>,
}

impl Slow {
    async fn start() -> Self {
        let (asked, (answers, waits)) = (Arc::<Mutex<Vec<String>>>::default(), watch::channel(false));
        let app = axum::Router::new().fallback(answer).with_state(Desk { asked: asked.clone(), answers: waits });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, answers }
    }

    async fn until_asked(&self, times: usize) {
        eventually("Prometheus is asked", async || self.asked.lock().unwrap().len() >= times).await;
    }
}

async fn answer(State(mut desk): State<Desk>, form: String) -> axum::Json<serde_json::Value> {
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
    let about = form.query_pairs().find(|(name, _)| name == "time").unwrap().1.into_owned();
    desk.asked.lock().unwrap().push(about);
    desk.answers.wait_for(|answers| *answers).await.unwrap();
    let vector = json!([{"metric": {}, "value": [1_700_000_000.5, "0.1"]}]);
    axum::Json(json!({"status": "success", "data": {"resultType": "vector", "result": vector}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6_an_analyzer_that_dies_in_mid_query_asks_the_same_again_and_says_one_verdict() {
    let slow = Slow::start().await;
    let (mut plant, witness) = (Plant::of(1, &[("TIDEGATE_PROMETHEUS_URL", &slow.url)]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let check = json!({"metric": "p95_x", "query": {"value": "slow{v=\"{version}\"}"}, "rules": {"gt": 0.5},
        "min_samples": 0, "interval": "5s", "window": "step"});
    let policy = json!({"policy": {"name": "asked", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}], "checks": [check]}});
    let id = plant.promote("2", &policy).await;
    for death in 1..=DEATHS {
        slow.until_asked(death).await;
        plant.one("analyzer", 0).killed_and_started();
    }
    slow.until_asked(DEATHS + 1).await;
    slow.answers.send(true).unwrap();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    let asked = slow.asked.lock().unwrap().clone();
    assert!(asked[..=DEATHS].iter().all(|about| *about == asked[0]), "{asked:?}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f21_a_consumer_that_stands_still_in_a_storm_stays_small_and_lets_a_rollback_through() {
    let (plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[50], "1h")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let scheduler = plant.processes.iter().find(|process| process.name == "stage-scheduler").unwrap();
    scheduler.signal("STOP");
    let mut jetstream = plant.nats.jetstream().await;
    jetstream.set_timeout(LIMIT);
    let mut taken = Vec::new();
    for number in 0..STORM {
        let message = people::commanded(RolloutId::of("/elsewhere", &number.to_string()), Verb::Advance);
        let stamp =
            Stamp { id: format!("storm.{number}"), source: "/tidegate/api".to_owned(), at: At(1), traceparent: None };
        let body = message.event(&stamp).to_json();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, stamp.id.as_str());
        headers.insert("tidegate-service", "api");
        taken.push(jetstream.publish_with_headers(message.subject().to_string(), headers, body.into()).await.unwrap());
    }
    for ack in taken {
        ack.await.unwrap();
    }
    scheduler.signal("CONT");
    let since = Instant::now();
    let said = plant.saying(format!("/v1/rollouts/{id}/rollback"), json!({}));
    for session in 0..40 {
        let session = format!("s-{session}");
        eventually("the candidate is gone", async || plant.ask_at(0, &session).await == "1").await;
    }
    assert!(since.elapsed() < RETREAT, "{:?}", since.elapsed());
    said.await.unwrap();
    assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    plant.quiet().await;
    assert!(scheduler.peak_mib() < MEMORY_MAX, "{} MiB", scheduler.peak_mib());
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_an_updater_that_stood_still_between_wish_and_write_is_refused() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    plant.quiet().await;
    plant.one("traffic-updater", 0).started_with(ARMED, "updater_after_read:hold@1");
    plant.until_ready().await;
    plant.one("traffic-updater", 1).signal("STOP");
    let id = plant.promote("2", &steps(&[25, 50], "1s")).await;
    until_held(&mut plant, "traffic-updater").await;
    plant.one("traffic-updater", 1).signal("CONT");
    let path = format!("/v1/rollouts/{id}");
    plant.house.until(&path, |rollout| rollout["step"] == 1 && rollout["stage"] == "observing").await;
    plant.one("traffic-updater", 0).signal("CONT");
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    // Had it been written, the other one would have had to put it right.
    for process in plant.processes.iter().filter(|process| process.name == "traffic-updater") {
        let page = process.page(&plant.house.client, "/metrics").await.unwrap().1;
        let drifted = page.lines().find(|line| line.starts_with("tidegate_target_drift_total{"));
        assert!(drifted.is_some_and(|line| line.ends_with(" 0")), "{page}");
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f34_a_rollback_while_a_forward_split_is_being_applied_is_what_stays() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    for (candidate, place) in [("2", "updater_after_read"), ("2", "updater_before_answer")] {
        plant.quiet().await;
        plant.one("traffic-updater", 0).started_with(ARMED, &format!("{place}:hold@1"));
        plant.until_ready().await;
        let id = plant.promote(candidate, &steps(&[50], "1h")).await;
        until_held(&mut plant, "traffic-updater").await;
        plant.say(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
        plant.one("traffic-updater", 0).signal("CONT");
        let ended = plant.house.ended(&id).await;
        assert_eq!(ended["stage"], "rolled_back", "{ended}");
        for session in 0..40 {
            assert_eq!(plant.house.ask("reranker", &format!("s-{session}")).await.1, "1", "{place}");
        }
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

/// Waits until the first replica of a service stands still.
async fn until_held(plant: &mut Plant, service: &str) {
    let since = Instant::now();
    while !plant.one(service, 0).is_held() {
        assert!(since.elapsed() < LIMIT, "{service} does not come to its place");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
