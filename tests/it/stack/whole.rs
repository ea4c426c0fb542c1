//! Started, driven by other systems, judged from Prometheus, looked at, cut off, emptied, replaced, killed and started anew: one story of
//! one stack, since a start and an end take half a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rollout::RolloutId;
use serde_json::{Value, json};
use tidegate::load::Load;

use super::containers::docker;
use super::driving::Outsider;
use super::life::{Stack, users};
use super::{SERVICES, dashboards, faults, judged};
use crate::house::eventually;

/// From built images to all healthy.
const UP_LIMIT: Duration = Duration::from_secs(40);
/// Everything is as before so long after whatever happened.
const RECOVERY: Duration = Duration::from_secs(30);
/// Of each of the models that are asked while everything is replaced: three hundred a second in all.
const BUSY: f64 = 100.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_comes_up_rolls_out_and_back_and_outlives_whatever_is_killed_or_replaced() {
    let (stack, receivers, took) = Stack::telling().await;
    println!("all healthy after {:.1} s", took.as_secs_f64());
    assert!(took < UP_LIMIT, "{took:?}");
    assert_eq!(stack.client.get("http://127.0.0.1:7070/v1/models").send().await.unwrap().status(), 401);
    only_the_notifier_has_a_way_out(&stack);
    for policy in [judged::quick(), judged::slow(), judged::from_prometheus()] {
        stack.policy(&policy).await;
    }
    stack.tell("there are policies");
    let (live, ..) = tokio::join!(
        one_is_taken_back_by_hand_and_one_goes_on(&stack),
        other_systems_promote_what_is_good_and_not_what_is_bad(&stack),
        prometheus_judges(&stack)
    );
    // No service is started anew meanwhile, so what was counted since the start is scraped twice.
    let [cut, emptied, down] = faults::telling();
    let faults = [cut, emptied];
    tokio::join!(dashboards_show_something(&stack), faults::outlived(&stack, &receivers, &faults));
    everything_is_replaced_and_nobody_notices(&stack).await;
    everything_is_killed_and_comes_back_alone(&stack).await;
    stack.rolls_back(&live).await;
    eventually("no message is parked", async || stack.read("/v1/parked").await["items"] == json!([])).await;
    faults::outlived(&stack, &receivers, &[down]).await;
    faults::nothing_is_wrong(&stack).await;
}

/// Every other service is on networks alone that Docker forwards nothing out of.
fn only_the_notifier_has_a_way_out(stack: &Stack) {
    let has_way_out = |service: &&str| {
        let names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
        let networks = docker(&["inspect", "--format", names, &stack.form.container(service)]);
        networks
            .split_whitespace()
            .any(|name| docker(&["network", "inspect", "--format", "{{.Internal}}", name]) != "true")
    };
    assert_eq!(SERVICES.into_iter().filter(has_way_out).collect::<Vec<_>>(), ["notifier"]);
}

/// By a publish, by a POST, and by a workflow that waits: what they run is what `docs/drive` shows.
async fn other_systems_promote_what_is_good_and_not_what_is_bad(stack: &Stack) {
    stack.turn("turning", &json!({"error_rate": 0.6})).await;
    let models = [("good", "modelsim-v2"), ("bad", "turning"), ("built", "modelsim-v2"), ("broken", "turning")];
    let asked = join_all(models.map(async |(model, candidate)| {
        stack.model(model, &["modelsim-v1", candidate]).await;
        users(model, 25.0)
    }))
    .await;
    let outsider = Arc::new(Outsider::of(stack));
    let speaking = Arc::clone(&outsider);
    let spoken = tokio::task::spawn_blocking(move || {
        speaking.publish("publish-1", "good", "2", "quick");
        speaking.post("post-1", "bad", "2", "quick");
    });
    spoken.await.unwrap();
    let workflow = |model| {
        let outsider = Arc::clone(&outsider);
        tokio::task::spawn_blocking(move || outsider.workflow(model, "2", "quick"))
    };
    let (built, broken) = tokio::join!(workflow("built"), workflow("broken"));
    assert_eq!((built.unwrap(), broken.unwrap()), (Some(0), Some(2)));
    let ended = async |id| stack.ended(&RolloutId::of("/ci", id)).await;
    assert_eq!((ended("publish-1").await.as_str(), ended("post-1").await.as_str()), ("completed", "rolled_back"));
    stack.tell("other systems have promoted what is good, and not what is bad");
    for (model, version) in [("good", "2"), ("bad", "1"), ("built", "2"), ("broken", "1")] {
        stack.until(&format!("/v1/models/{model}"), |model| model["active"] == version).await;
    }
    none_failed(asked).await;
    stack.turn("turning", &json!({"error_rate": 0.0})).await;
}

/// The one that goes on is on its way all the time, so that pages and dashboards have something to show.
async fn one_is_taken_back_by_hand_and_one_goes_on(stack: &Stack) -> RolloutId {
    stack.model("shown", &["modelsim-v1", "modelsim-v2"]).await;
    let asked = users("shown", 25.0);
    let stopped = stack.promote("shown", "2", "slow", "stopped").await;
    stack.rolls_back(&stopped).await;
    stack.tell("one was taken back by hand");
    let live = stack.promote("shown", "2", "slow", "shown").await;
    stack.rollout(&live, |rollout| rollout["stage"] == "observing").await;
    none_failed(vec![asked]).await;
    live
}

async fn dashboards_show_something(stack: &Stack) {
    assert_eq!(dashboards::number(stack, "count(up{job=\"aegis_api\"} == 1)").await, Some(2.0));
    stack.tell(&format!("{} queries of three dashboards have data", dashboards::all_have_data(stack).await));
}

/// R4 and R5: nothing of what routers count is asked.
async fn prometheus_judges(stack: &Stack) {
    stack.model("reranker", &["modelsim-v1", "modelsim-v2"]).await;
    let asked = users("reranker", 80.0);
    stack.turn("modelsim-v2", &json!({"slow_share": 0.2, "slow_median_ms": 450})).await;
    let bimodal = stack.promote("reranker", "2", "from-prometheus", "bimodal").await;
    assert_eq!(stack.ended(&bimodal).await, "rolled_back");
    let checks = stack.rollout(&bimodal, |_| true).await["verdict"]["checks"].take();
    let results: Vec<&Value> = (0..3).map(|check| &checks[check]["result"]).collect();
    assert_eq!(results, ["pass", "breach", "pass"], "{checks}");
    stack.tell("a bad p95 behind a good mean was taken back, as Prometheus has it");
    stack.turn("modelsim-v2", &json!({"slow_share": 0.0})).await;
    let fine = stack.promote("reranker", "2", "from-prometheus", "fine").await;
    assert_eq!(stack.ended(&fine).await, "completed");
    stack.tell("a fine one was promoted, as Prometheus has it");
    none_failed(vec![asked]).await;
}

/// Each is replaced while a rollout is on its way: those that no user asks at once, then the api and the routers.
async fn everything_is_replaced_and_nobody_notices(stack: &Stack) {
    let asked = ["shown", "reranker", "good"].map(|model| users(model, BUSY));
    let again = stack.promote("good", "1", "quick", "replaced").await;
    for services in [&SERVICES[..6], &SERVICES[6..7], &SERVICES[7..8], &SERVICES[8..]] {
        stack.form.replace(services);
        if services == ["router-a"] {
            // HAProxy may not know one that is ready only just, and there must be one that it knows.
            stack.until_healthy().await;
        } else {
            stack.until_ready().await;
        }
        stack.tell(&format!("replaced: {}", services.join(", ")));
    }
    assert_eq!(stack.ended(&again).await, "completed");
    let requests = none_failed(asked.into()).await;
    stack.tell(&format!("{requests} requests while everything was replaced, none failed by us"));
}

/// All are killed at once, the servers too, while another rollout is on its way: it ends as it should.
async fn everything_is_killed_and_comes_back_alone(stack: &Stack) {
    let asked = users("good", 50.0);
    let again = stack.promote("good", "2", "quick", "killed").await;
    let servers = ["nats", "postgres", "prometheus"];
    std::thread::scope(|kills| {
        for service in SERVICES.iter().filter(|service| **service != "router-b").chain(&servers) {
            kills.spawn(|| stack.form.kill(service));
        }
    });
    let since = Instant::now();
    stack.until_ready().await;
    stack.tell(&format!("all ready {:.1} s after the last kill", since.elapsed().as_secs_f64()));
    assert!(since.elapsed() < RECOVERY, "{:?}", since.elapsed());
    assert_eq!(stack.ended(&again).await, "completed");
    let killed = asked.stop().await;
    stack.tell(&format!(
        "{} requests while everything was killed, failed by us: {:?}",
        killed.requests, killed.failures
    ));
    // What the router that was killed had in hand.
    assert!(killed.failed_by_us <= 5, "{:?}", killed.failures);
}

/// How many were asked, none of which failed by us.
async fn none_failed(asked: Vec<Load>) -> u64 {
    let mut requests = 0;
    for load in asked {
        let report = load.stop().await;
        assert_eq!(report.failed_by_us, 0, "{:?}", report.failures);
        requests += report.requests;
    }
    requests
}
