//! What an operator sees of a real rollout: metrics, one trace, and logs that keep secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use prost::Message as _;
use rollout::RolloutId;
use serde_json::{Value, json};
use store::Store;
use tokio::net::TcpListener;

use crate::house::{House, Upstream};
use crate::traffic;

/// One step with ticks and verdicts.
fn judged() -> Value {
    json!({"policy": {"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]}})
}

/// Two versions, and a rollout from the first to the second on its way.
async fn promoting(house: &House, body: &Value) -> (String, [Upstream; 2]) {
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    (house.promote("reranker", "2", body).await, [one, two])
}

async fn page(house: &House) -> String {
    house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap()
}

/// The value of a metric whose labels hold all of `parts`.
fn value(page: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let line = page.lines().find(|line| {
        let is_it = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        is_it && parts.iter().all(|part| line.contains(part))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_say_where_a_rollout_stands_and_what_became_of_it() {
    let house = House::start();
    let (id, _upstreams) = promoting(&house, &judged()).await;
    let traffic = traffic::start(&house, "reranker");
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let now = page(&house).await;
    let rollout = format!("rollout=\"{id}\"");
    assert!(value(&now, "tidegate_beat_age_seconds", &[]).is_some_and(|age| age < 15.0), "{now}");
    assert_eq!(value(&now, "tidegate_target_drift_total", &["kind=\"router\""]), Some(0.0));
    assert_eq!(value(&now, "tidegate_generations_refused_total", &["kind=\"router\""]), Some(0.0));
    assert_eq!(value(&now, "tidegate_rollout_info", &[&rollout, "from=\"1\"", "to=\"2\""]), Some(1.0), "{now}");
    assert_eq!(value(&now, "tidegate_rollout_stage", &[&rollout, "stage=\"observing\""]), Some(1.0));
    assert_eq!(value(&now, "tidegate_rollout_stage", &[&rollout, "stage=\"shifting\""]), Some(0.0));
    assert_eq!(value(&now, "tidegate_rollout_step", &[&rollout]), Some(1.0));
    for source in ["source=\"desired\"", "source=\"applied\""] {
        assert_eq!(value(&now, "tidegate_split_ratio", &["arm=\"candidate\"", source]), Some(0.5), "{source} {now}");
    }
    house.ended(&id).await;
    traffic.stop().await;
    house.until("/v1/models/reranker", |model| model["active"] == "2").await;
    let back = house.promote("reranker", "1", &judged()).await;
    house.until(&format!("/v1/rollouts/{back}"), |rollout| rollout["stage"] == "observing").await;
    house.post(&format!("/v1/rollouts/{back}/rollback"), &json!({"reason": "a person's own words"})).await;
    house.ended(&back).await;
    let after = page(&house).await;
    assert_eq!(value(&after, "tidegate_transitions_total", &["to=\"completed\"", "reason=\"none\""]), Some(2.0));
    assert_eq!(value(&after, "tidegate_transitions_total", &["to=\"rolled_back\"", "reason=\"rollback\""]), Some(1.0));
    assert_eq!(value(&after, "tidegate_rollback_seconds_count", &[]), Some(1.0));
    assert!(value(&after, "tidegate_verdicts_total", &["result=\"pass\""]) >= Some(1.0), "{after}");
    assert!(value(&after, "tidegate_exposed_requests_total", &["arm=\"candidate\""]) >= Some(20.0), "{after}");
    assert_eq!(value(&after, "tidegate_rollout_info", &[]), None, "what is over is in the rows, not on the page");
    assert_eq!(value(&after, "tidegate_parked_messages", &[]), Some(0.0));
    for name in ["tidegate_outbox_waiting", "tidegate_outbox_oldest_seconds", "tidegate_deadline_late_seconds_count"] {
        assert!(value(&after, name, &[]).is_some(), "{name} is missing: {after}");
    }
    assert!(value(&after, "tidegate_consumer_lag_messages", &["consumer=\"stage-scheduler-urgent\""]).is_some());
    assert!(!after.contains("own words"), "{after}");
    lint(&after);
}

/// What Prometheus itself has against the page, where it is installed.
fn lint(page: &str) {
    let started =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = started else { return };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let out = promtool.wait_with_output().unwrap();
    assert!(out.status.success(), "{}\n{page}", String::from_utf8_lossy(&out.stderr));
}

/// A span as a collector gets it: service, trace, its own id, its parent's, and its attributes.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Vec<u8>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A collector that keeps what it is sent.
pub(crate) async fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&spans);
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let sent = request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        kept.lock().unwrap().extend(sent.map(|span| Span {
            trace: span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            id: span.span_id,
            parent: span.parent_span_id,
            attributes:
                span.attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|it| it.value)))).collect(),
        }));
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, spans)
}

fn text(value: Option<Attribute>) -> String {
    match value {
        Some(Attribute::StringValue(text)) => text,
        Some(Attribute::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_one_trace_through_every_service() {
    let (url, spans) = collector().await;
    let house = House::start_told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_BSP_SCHEDULE_DELAY", "200")]);
    let (id, _upstreams) = promoting(&house, &judged()).await;
    let traffic = traffic::start(&house, "reranker");
    house.ended(&id).await;
    traffic.stop().await;
    house.stop();
    let spans = spans.lock().unwrap();
    let of_rollout: Vec<&Span> = spans.iter().filter(|span| span.attributes.get("rollout.id") == Some(&id)).collect();
    let traces: BTreeSet<&str> = of_rollout.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 1, "{of_rollout:#?}");
    let services: BTreeSet<&str> = of_rollout.iter().map(|span| span.attributes["service"].as_str()).collect();
    for service in ["api", "registry-writer", "stage-scheduler", "deployer", "traffic-updater", "analyzer"] {
        assert!(services.contains(service), "{service} is not among {services:?}");
    }
    let kinds: BTreeSet<&str> = of_rollout.iter().map(|span| span.attributes["fact.kind"].as_str()).collect();
    for kind in ["version.promote", "split.applied", "verdict.reached", "deadline_passed"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    let known: BTreeSet<&[u8]> = of_rollout.iter().map(|span| span.id.as_slice()).collect();
    let caused = of_rollout.iter().filter(|span| span.attributes["fact.kind"] == "verdict.reached");
    for span in caused {
        assert!(known.contains(span.parent.as_slice()), "nothing led to {span:?}");
        for field in ["tenant", "model", "fact.id", "attempt"] {
            assert!(span.attributes.contains_key(field), "{field} is missing in {span:?}");
        }
    }
    let moved = |span: &&&Span| span.attributes.get("stage").is_some_and(|stage| stage == "completed");
    assert!(of_rollout.iter().any(|span| moved(&span)), "no span says where the rollout stood after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_line_holds_a_session_a_salt_or_a_body() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let house = House::start_as(Arc::clone(&folder), file.into(), &[("TIDEGATE_LOG", "debug,sqlx=info")]);
    let body =
        json!({"policy": {"name": "quick", "steps": [{"split": 50, "dwell": "300ms"}, {"split": 100, "dwell": "0s"}]}});
    let (id, upstreams) = promoting(&house, &body).await;
    for version in [&upstreams[0].url, "http://127.0.0.1:1"] {
        // One that answers and one that does not: a failure has the most to tell.
        let model = if version.ends_with(":1") { "broken" } else { "reranker" };
        let request = house.client.post(format!("{}/{model}/predict", house.router));
        let _ = request.header("x-session-id", "planted-session").body("planted body").send().await.unwrap();
    }
    house.ended(&id).await;
    house.stop();
    let store = Store::open(folder.path()).await.unwrap();
    let salt = store.reader().await.unwrap().rows().salt(&RolloutId::new(id.as_str()).unwrap()).await.unwrap().unwrap();
    store.close().await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains(&id), "nothing was logged");
    for secret in ["planted-session", "planted body", &salt] {
        assert!(!log.contains(secret), "the log holds `{secret}`");
    }
}
