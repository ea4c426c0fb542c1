//! The load generator asks on time, and its account has every request in it once.

#![expect(clippy::unwrap_used, reason = "test support, where a panic is the report")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use modelsim::{Config, Dials, Reach, Running, Simulator};
use serde_json::json;
use tidegate::load::{Load, LoadPlan, Report};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

async fn simulator(dials: Dials) -> Running {
    Simulator::start(Config { dials, ..Config::new("sentiment", "v2") }).await.unwrap()
}

/// Stands in for the router at its border: answers by the ordinal of the request.
type Script = fn(usize) -> Response;

async fn router(script: Script) -> LoadPlan {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer =
        move |State(asked): State<Arc<AtomicUsize>>| async move { script(asked.fetch_add(1, Ordering::SeqCst)) };
    serve(axum::Router::new().fallback(answer).with_state(asked)).await
}

async fn serve(app: axum::Router) -> LoadPlan {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sentiment/predict", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    LoadPlan { rate_per_second: 500.0, sessions: 100, ..LoadPlan::new(url.parse().unwrap()) }
}

async fn run(plan: LoadPlan, is_enough: impl Fn(&Report) -> bool) -> Report {
    let load = Load::start(plan);
    let enough = async {
        while !is_enough(&load.snapshot()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, enough).await.unwrap();
    load.stop().await
}

fn versioned(status: u16, version: &'static str) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("x-model-version", version)]).into_response()
}

fn problem(kind: &'static str) -> Response {
    let body = json!({ "type": kind }).to_string();
    (StatusCode::NOT_FOUND, [("content-type", "application/problem+json")], body).into_response()
}

#[tokio::test]
async fn load_accounts_for_every_request_by_version_session_and_class() {
    let plan = router(|ordinal| versioned(200, if ordinal % 2 == 0 { "v1" } else { "v2" })).await;
    let report = run(LoadPlan { sessions: 10, ..plan }, |report| report.answered >= 200).await;
    assert_eq!(report.requests, report.answered);
    assert_eq!((report.in_flight, report.skipped), (0, 0));
    assert_eq!(report.by_class["2xx"], report.answered);
    assert_eq!((report.sessions, report.versions["v1"].sessions), (10, 10));
    let (old, new) = (&report.versions["v1"], &report.versions["v2"]);
    assert_eq!(old.answered + new.answered, report.answered);
    assert!(old.first_begun.unwrap().at < old.last_begun.unwrap().at);
    assert!(old.p50_ms > 0.0 && old.p50_ms <= old.p95_ms && old.p95_ms <= old.p99_ms);
}

#[tokio::test]
async fn load_does_not_wait_for_answers_before_it_asks_again() {
    let running = simulator(Dials { latency_median_ms: 1_000.0, latency_sigma: 0.0, ..Dials::default() }).await;
    let plan = LoadPlan::new((running.url() + "/predict").parse().unwrap());
    let report = run(plan, |report| report.in_flight >= 20).await;
    assert_eq!(report.answered, report.requests);
    assert_eq!(report.answered_without_version, report.requests);
    assert_eq!(running.predictions(), report.requests);
}

#[tokio::test]
async fn a_failure_is_ours_unless_the_answer_carries_a_version() {
    let plan = router(|ordinal| match ordinal % 5 {
        0 => versioned(500, "v2"),
        1 => versioned(404, "v2"),
        2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        3 => problem("https://tidegate.dev/problems/no-route"),
        _ => problem("https://model.example/not-found"),
    })
    .await;
    let report = run(plan, |report| report.answered >= 50).await;
    let count = |failure: &str| report.failures[failure];
    assert_eq!(report.failed_by_model, count("model: 500"));
    let ours = count("us: 503") + count("us: 404 https://tidegate.dev/problems/no-route");
    assert_eq!((report.failed_by_us, report.failures.len()), (ours, 3));
    assert!(report.failed_by_model.abs_diff(report.answered / 5) <= 1);
    assert!(report.failed_by_us.abs_diff(2 * report.answered / 5) <= 2);
}

#[tokio::test]
async fn a_refused_connection_is_our_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let report = run(LoadPlan::new(url.parse().unwrap()), |report| report.failed_by_us >= 5).await;
    assert_eq!(report.failures["us: connection refused"], report.requests);
}

#[tokio::test]
async fn requests_beyond_the_bound_are_counted_as_skipped() {
    let running = simulator(Dials { hang: Reach::Everything, ..Dials::default() }).await;
    let plan = LoadPlan {
        rate_per_second: 500.0,
        in_flight_max: 4,
        timeout: Duration::from_millis(500),
        ..LoadPlan::new((running.url() + "/predict").parse().unwrap())
    };
    let report = run(plan, |report| report.skipped >= 20).await;
    assert_eq!(report.failed_by_us, report.requests);
    assert_eq!(report.failures["us: timeout before any answer"], report.requests);
}

#[tokio::test]
async fn a_session_that_comes_back_to_a_version_it_left_is_a_sticky_violation() {
    let plan = router(|ordinal| versioned(200, ["v1", "v2", "v1"][(ordinal / 10).min(2)])).await;
    let plan = LoadPlan { sessions: 1, rate_per_second: 50.0, ..plan };
    let report = run(plan, |report| report.answered >= 30).await;
    assert_eq!(report.changes.get("v1 -> v2"), Some(&1));
    assert_eq!((report.sticky_violations, report.sticky_violators), (1, 1));
    let plan = router(|ordinal| versioned(200, ["v1", "v2"][(ordinal / 10).min(1)])).await;
    let plan = LoadPlan { sessions: 1, rate_per_second: 50.0, ..plan };
    let report = run(plan, |report| report.answered >= 30).await;
    assert_eq!((report.sticky_violations, report.changes["v1 -> v2"]), (0, 1));
}

#[tokio::test]
async fn two_runs_share_no_session_and_a_seed_repeats_the_order() {
    type Seen = Arc<Mutex<Vec<String>>>;
    let seen = Seen::default();
    let note = |State(seen): State<Seen>, headers: HeaderMap| async move {
        seen.lock().unwrap().push(headers["x-session-id"].to_str().unwrap().to_owned());
    };
    let plan = serve(axum::Router::new().fallback(note).with_state(seen.clone())).await;
    let mut runs = Vec::new();
    for run_name in ["a", "b"] {
        let plan = LoadPlan { run: run_name.to_owned(), sessions: 1_000_000, ..plan.clone() };
        run(plan, |report| report.answered >= 10).await;
        runs.push(std::mem::take(&mut *seen.lock().unwrap()));
    }
    assert!(runs[0][0].starts_with("s-a-") && runs[1][0].starts_with("s-b-"));
    let numbers = |run: &[String]| run.iter().map(|id| id[4..].to_owned()).collect::<HashSet<_>>();
    let (one, other) = (numbers(&runs[0]), numbers(&runs[1]));
    let common = one.intersection(&other).count();
    assert_eq!(common, one.len().min(other.len()), "{one:?} {other:?}");
}
