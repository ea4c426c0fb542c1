//! How quick the stack is, and what it takes: figures of the containers on this machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use rollout::{At, RolloutId};
use serde_json::{Value, json};
use store::{Said, Store};

use super::SERVICES;
use super::containers::{Form, IMAGE, docker, memory_mib};
use super::life::Stack;

/// Of each kind: the 99th percentile of a hundred is the largest but one.
const SAMPLES: usize = 100;
const MIB: f64 = 1_048_576.0;
/// As many at once (R101).
const AT_ONCE: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures a release: `./x bench stack`"]
async fn containers_split_retreat_and_wait_within_their_figures() {
    let size: f64 = docker(&["image", "inspect", "--format", "{{.Size}}", IMAGE]).parse().unwrap();
    println!("the image takes {:.0} MiB (150)", size / MIB);
    assert!(size <= 150.0 * MIB);
    let (stack, took) = Stack::up(Form::default(), &[]).await;
    println!("from built images to all healthy: {:.1} s (40)", took.as_secs_f64());
    let store = stack.store().await;
    let gate =
        json!({"name": "gated", "steps": [{"split": 5, "dwell": "1h", "gate": true}, {"split": 100, "dwell": "0s"}]});
    let judged = json!({"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "1h",
        "steps": [{"split": 25, "dwell": "1h"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "hallucination_rate", "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]});
    stack.policy(&gate).await;
    stack.policy(&judged).await;

    let waiting = models(&stack, "waiting", SAMPLES).await;
    let ids = all_at_once(&stack, &waiting, "gated", "gated").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ours = memory_mib(|line| SERVICES.iter().any(|service| line.contains(service)));
    let all = memory_mib(|_| true);
    println!(
        "{} rollouts wait: Tidegate's containers take {ours:.0} MiB, all of the stack {all:.0} MiB (400)",
        ids.len()
    );
    assert!(ours <= 400.0);

    let names = models(&stack, "one", SAMPLES).await;
    let words = Words::heard(&stack).await;
    let (mut splits, mut retreats) = (Vec::new(), Vec::new());
    for name in &names {
        let asked_at = now();
        let id = stack.promote(name, "2", "judged", name).await;
        stack.rollout(&id, |rollout| rollout["stage"] == "observing").await;
        splits.push(moved(&store, &id, "observing").await.ms_since(asked_at));
    }
    // A few in each turn of the judge, so that they are in nobody's way but each other's.
    for few in names.chunks(10) {
        for name in few {
            breaches(&stack, name).await;
        }
        for name in few {
            assert_eq!(stack.ended(&RolloutId::of("/ci", name)).await, "rolled_back");
        }
    }
    let verdicts = verdicts(&store).await;
    for name in &names {
        let said = verdicts.iter().rfind(|said| said.body.contains(RolloutId::of("/ci", name).as_str())).unwrap();
        retreats.push(words.at_zero(name, said.created_at).ms_since(said.created_at));
    }
    let (splits, retreats) = (p99(splits), p99(retreats));
    println!("promote event -> first split applied, p50 and p99 of {SAMPLES}: {splits:?} ms (250)");
    println!("breach verdict -> both routers at 0, p50 and p99 of {SAMPLES}: {retreats:?} ms (100)");

    let crowd = models(&stack, "crowd", AT_ONCE).await;
    let since = Instant::now();
    let ids = all_at_once(&stack, &crowd, "judged", "observing").await;
    println!("{AT_ONCE} promotes at once: all are at their first split after {:.1} s", since.elapsed().as_secs_f64());
    let since = Instant::now();
    stack.rolls_back(&ids[7]).await;
    println!("one of them taken back after {:.2} s", since.elapsed().as_secs_f64());
    assert!(since.elapsed() < Duration::from_secs(2));
    // The bounds are for a disk that keeps up; what is beyond these is no disk's.
    assert!(splits.1 <= 1_000 && retreats.1 <= 500, "{splits:?} {retreats:?}");
}

/// So many models with two versions each.
async fn models(stack: &Stack, prefix: &str, count: usize) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
    let made = names.iter().map(|name| stack.model(name, &["modelsim-v1", "modelsim-v2"]));
    stream::iter(made).buffer_unordered(16).collect::<()>().await;
    names
}

/// Asks for the second version of each at once, and waits until all are at a stage.
async fn all_at_once(stack: &Stack, names: &[String], policy: &str, stage: &str) -> Vec<RolloutId> {
    let asked = names.iter().map(|name| stack.promote(name, "2", policy, name));
    let ids: Vec<_> = stream::iter(asked).buffered(names.len()).collect().await;
    for id in &ids {
        stack.rollout(id, |rollout| rollout["stage"] == stage).await;
    }
    ids
}

/// Thirty answers of the candidate that are invented, and thirty of the other that are not: alone it would wait for those.
async fn breaches(stack: &Stack, model: &str) {
    let of = |version: &str, value: u8| json!({"model": model, "version": version, "metric": "hallucination", "value": value});
    let outcomes = [vec![of("1", 0); 30], vec![of("2", 1); 30]].concat();
    let (status, said) = stack.send(Method::POST, "/v1/observations", &json!(outcomes)).await;
    assert_eq!(status, 202, "{said}");
}

fn now() -> At {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    At(i64::try_from(since_epoch.as_millis()).unwrap())
}

/// When a rollout came to a stage.
async fn moved(store: &Store, id: &RolloutId, stage: &str) -> At {
    let log = store.reader().await.unwrap().rows().history(id, 0, 1_000).await.unwrap();
    log.iter().find(|entry| entry.to_stage == stage).unwrap().decided_at
}

/// The verdicts that take traffic back, oldest first.
async fn verdicts(store: &Store) -> Vec<Said> {
    let mut said = store.reader().await.unwrap().rows().said_after(0, "", 100_000).await.unwrap();
    said.retain(|said| said.subject.starts_with("tg.urgent.") && said.subject.ends_with("verdict.reached"));
    said
}

/// What the routers say of models: key, generation, and when it came to the bus.
struct Words(Arc<Mutex<Vec<(String, i64, At)>>>);

impl Words {
    /// Listens from now on.
    async fn heard(stack: &Stack) -> Self {
        let words = Arc::new(Mutex::new(Vec::new()));
        let mut watch = stack.bus().await.get_key_value("tg_router").await.unwrap().watch_all().await.unwrap();
        let heard = Arc::clone(&words);
        tokio::spawn(async move {
            while let Some(entry) = watch.next().await {
                let Ok(entry) = entry else { continue };
                let word: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
                let at = At(i64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap());
                heard.lock().unwrap().extend(word["generation"].as_i64().map(|generation| (entry.key, generation, at)));
            }
        });
        Self(words)
    }

    /// When both routers had said that they serve the first route after a moment.
    fn at_zero(&self, model: &str, after: At) -> At {
        let words = self.0.lock().unwrap();
        let of_router = |router: &str| {
            let key = format!("{router}.default.{model}");
            let mine: Vec<_> = words.iter().filter(|(of, ..)| *of == key).collect();
            let before = mine.iter().filter(|(.., at)| *at <= after).map(|(_, generation, _)| *generation).max();
            mine.iter().find(|(_, generation, _)| Some(*generation) > before).unwrap().2
        };
        of_router("router-a").max(of_router("router-b"))
    }
}

/// The median and the 99th percentile.
fn p99(mut values: Vec<i64>) -> (i64, i64) {
    values.sort_unstable();
    (values[values.len() / 2], values[values.len() * 99 / 100 - 1])
}
