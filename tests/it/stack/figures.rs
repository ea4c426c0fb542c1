//! How quick the stack is, and what it takes: figures of the containers on this machine.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use rollout::{At, RolloutId};
use serde_json::json;
use store::Store;

use super::SERVICES;
use super::containers::{Form, memory_mib};
use super::life::Stack;

/// Of each kind: the 99th percentile of a hundred is the largest but one.
const SAMPLES: usize = 100;
/// As many at once (R101).
const AT_ONCE: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some minutes: `./x soak`"]
async fn containers_split_retreat_and_wait_within_their_figures() {
    let (stack, _) = Stack::up(Form::default(), &[]).await;
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
    let (mut splits, mut retreats) = (Vec::new(), Vec::new());
    for name in &names {
        let asked_at = now();
        let id = stack.promote(name, "2", "judged", name).await;
        stack.rollout(&id, |rollout| rollout["stage"] == "observing").await;
        splits.push(moved(&store, &id, "observing").await.ms_since(asked_at));
        breaches(&stack, name).await;
    }
    for name in &names {
        let id = RolloutId::of("/ci", name);
        assert_eq!(stack.ended(&id).await, "rolled_back");
        let applied = moved(&store, &id, "rolled_back").await;
        retreats.push(applied.ms_since(verdict(&store, &id).await));
    }
    let (splits, retreats) = (p99(splits), p99(retreats));
    println!("promote event -> first split applied, p50 and p99 of {SAMPLES}: {splits:?} ms (250)");
    println!("breach verdict -> both routers at 0, p50 and p99 of {SAMPLES}: {retreats:?} ms (100)");
    assert!(splits.1 <= 250, "{splits:?}");
    assert!(retreats.1 <= 100, "{retreats:?}");

    let crowd = models(&stack, "crowd", AT_ONCE).await;
    let since = Instant::now();
    let ids = all_at_once(&stack, &crowd, "judged", "observing").await;
    println!("{AT_ONCE} promotes at once: all are at their first split after {:.1} s", since.elapsed().as_secs_f64());
    let since = Instant::now();
    stack.rolls_back(&ids[7]).await;
    println!("one of them taken back after {:.2} s", since.elapsed().as_secs_f64());
    assert!(since.elapsed() < Duration::from_secs(2));
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

/// Thirty answers of the candidate that are invented.
async fn breaches(stack: &Stack, model: &str) {
    let one = json!({"model": model, "version": "2", "metric": "hallucination", "value": 1});
    let (status, said) = stack.send(Method::POST, "/v1/observations", &json!(vec![one; 30])).await;
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

/// When the verdict was said that took it back.
async fn verdict(store: &Store, id: &RolloutId) -> At {
    let said = store.reader().await.unwrap().rows().said_after(0, "", 100_000).await.unwrap();
    let is_it = |said: &&store::Said| said.subject.ends_with("verdict.reached") && said.body.contains(id.as_str());
    said.iter().rfind(|said| is_it(said) && said.subject.starts_with("tg.urgent.")).unwrap().created_at
}

/// The median and the 99th percentile.
fn p99(mut values: Vec<i64>) -> (i64, i64) {
    values.sort_unstable();
    (values[values.len() / 2], values[values.len() * 99 / 100 - 1])
}
