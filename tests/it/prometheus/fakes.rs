//! A Prometheus that is broken in every way: whatever it answers, the reason is in the verdict, nothing passes, and rollouts that
//! do not ask it go on.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::house::{House, Upstream};
use crate::tls::Authority;

/// Queries that were asked, and answers by the name of the series that they begin with.
type Asked = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

async fn fake() -> (String, Asked) {
    let asked = Asked::default();
    let app = axum::Router::new().fallback(reply).with_state(asked.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

fn result(kind: &str, result: &Value) -> Response {
    axum::Json(json!({"status": "success", "data": {"resultType": kind, "result": result}})).into_response()
}

fn vector(values: &[&str]) -> Response {
    let series =
        |(at, value): (usize, &&str)| json!({"metric": {"n": at.to_string()}, "value": [1_700_000_000.5, value]});
    result("vector", &values.iter().enumerate().map(series).collect::<Vec<_>>().into())
}

async fn reply(State(asked): State<Asked>, form: String) -> Response {
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
    let query = form.query_pairs().find(|(name, _)| name == "query").unwrap().1.into_owned();
    let name = query.split('{').next().unwrap().trim_start_matches("fake_").to_owned();
    asked.lock().unwrap().push(query);
    match name.as_str() {
        "good" => vector(&["0.1"]),
        "nan" => vector(&["NaN"]),
        "infinite" => vector(&["+Inf"]),
        "empty" => vector(&[]),
        "several" => vector(&["1", "2"]),
        "samples" => result("matrix", &json!([{"metric": {}, "values": vec![json!([1.0, "1"]); 10_001]}])),
        "text" => (StatusCode::OK, [(header::CONTENT_TYPE, "text/html")], "<h1>hello</h1>").into_response(),
        "busy" => StatusCode::TOO_MANY_REQUESTS.into_response(),
        "down" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "moved" => (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/")]).into_response(),
        "refused" => {
            let body = json!({"status": "error", "errorType": "bad_data", "error": "no such\nthing"});
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
        "huge" => {
            let chunk = axum::body::Bytes::from(vec![b' '; 1024 * 1024]);
            let chunks = (0..50).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(futures_util::stream::iter(chunks)).into_response()
        }
        _ => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            StatusCode::OK.into_response()
        }
    }
}

/// The name of the series behind `fake_`, the field of the query, the result and the reason of its check, words of the sentence.
const CASES: [(&str, &str, &str, &str, &str); 12] = [
    ("nan", "value", "no_data", "not_a_number", "gave NaN"),
    ("infinite", "value", "no_data", "not_a_number", "gave inf"),
    ("empty", "value", "no_data", "no_candidate_data", ""),
    ("several", "value", "inconclusive", "several_series", "gave 2 series"),
    ("samples", "buckets", "error", "too_many_samples", "more than 10000 samples"),
    ("text", "value", "no_data", "source_failed", "no result"),
    ("busy", "value", "no_data", "source_failed", "answered 429"),
    ("down", "buckets", "no_data", "source_failed", "answered 503"),
    ("moved", "value", "no_data", "source_failed", "answered 302"),
    ("refused", "value", "error", "query_refused", "refused the query: no such\\nthing"),
    ("huge", "value", "no_data", "source_failed", "more than 8 MiB"),
    ("hang", "value", "no_data", "source_failed", "has not answered yet"),
];

fn promotion(checks: &Value) -> Value {
    json!({"policy": {
        "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
        "checks": checks, "tick": "5s", "warmup": "0s", "inconclusive_budget": "15s"
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_broken_prometheus_answers_holds_with_its_reason_and_never_passes() {
    let (url, asked) = fake().await;
    let house = House::judged_from(&url);
    let (old, new) = (Upstream::start("1").await, Upstream::start("2").await);
    let mut rollouts = Vec::new();
    for (name, field, ..) in CASES {
        house.serves(name, "1", &old.url).await;
        house.version(name, "2", &new.url).await;
        let query = json!({field: format!("fake_{name}{{v=\"{{version}}\"}}")});
        let checks =
            json!([{"metric": "p95_x", "query": query, "rules": {"gt": 0.5}, "interval": "5s", "window": "step"}]);
        rollouts.push(house.promote(name, "2", &promotion(&checks)).await);
    }
    // One that asks nobody is judged as ever, beside all of them.
    house.serves("bystander", "1", &old.url).await;
    house.version("bystander", "2", &new.url).await;
    let checks =
        json!([{"metric": "error_rate", "rules": {"gt": 0.5}, "min_samples": 1, "interval": "5s", "window": "step"}]);
    let bystander = house.promote("bystander", "2", &promotion(&checks)).await;
    let path = format!("/v1/rollouts/{bystander}");
    let mut session = 0;
    while house.get(&path).await.1["stage"] != json!("completed") {
        session += 1;
        house.ask("bystander", &format!("s{session}")).await;
        assert!(session < 20_000, "{}", house.get(&path).await.1);
    }

    for (id, (name, _, outcome, reason, words)) in rollouts.iter().zip(CASES) {
        let rollout = house.ended(id).await;
        assert_eq!(
            (&rollout["stage"], &rollout["reason"]),
            (&json!("rolled_back"), &json!("inconclusive")),
            "{name}: {rollout}"
        );
        let check = &rollout["verdict"]["checks"][0];
        assert_eq!((&check["result"], &check["reason"]), (&json!(outcome), &json!(reason)), "{name}: {check}");
        let told = check["trouble"].as_str().unwrap_or_default();
        assert!(told.contains(words), "{name}: {told}");
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|query| query == "fake_nan{v=\"2\"}"), "{asked:?}");
    assert!(asked.iter().all(|query| !query.contains("rate(")));
}

/// A house that asks a Prometheus behind TLS, on a machine that trusts one authority.
fn asking(place: &str, trusted: &str) -> House {
    let url = format!("https://{place}");
    House::start_told(&[("TIDEGATE_PROMETHEUS_URL", &url), ("SSL_CERT_FILE", trusted)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_behind_tls_is_asked_when_its_certificate_is_trusted_and_told_nothing_when_it_is_not() {
    let (url, asked) = fake().await;
    let files = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let trusted = ours.file(files.path());
    let (old, new) = (Upstream::start("1").await, Upstream::start("2").await);
    let query = json!({"value": "fake_good{v=\"{version}\"}"});
    let checks = json!([{"metric": "x", "query": query, "rules": {"gt": 0.5}, "interval": "5s", "window": "step"}]);
    for (authority, stage) in [(&theirs, "rolled_back"), (&ours, "completed")] {
        let place = authority.in_front_of(url.trim_start_matches("http://")).await;
        let house = asking(&place, &trusted);
        house.serves("m", "1", &old.url).await;
        house.version("m", "2", &new.url).await;
        let id = house.promote("m", "2", &promotion(&checks)).await;
        let rollout = house.ended(&id).await;
        assert_eq!(rollout["stage"], stage, "{rollout}");
        let check = &rollout["verdict"]["checks"][0];
        let told = check["trouble"].as_str().unwrap_or_default();
        let expected = format!("can't be reached: TLS with {place} failed: invalid peer certificate: UnknownIssuer");
        assert_eq!(told.contains(&expected), stage == "rolled_back", "{check}");
        assert_eq!(asked.lock().unwrap().is_empty(), stage == "rolled_back", "{check}");
    }
}

#[tokio::test]
async fn a_version_that_looks_like_promql_stays_a_label_value() {
    let (url, asked) = fake().await;
    let house = House::judged_from(&url);
    let upstream = Upstream::start("1").await;
    let model = "model";
    house.serves(model, "1", &upstream.url).await;
    let hostile = r#"x"} or vector(1) #"#;
    let (status, answer) = house
        .post(&format!("/v1/registry/{model}/versions"), &json!({"version": hostile, "upstream": upstream.url}))
        .await;
    assert_eq!(status, 422, "{answer}");
    assert!(asked.lock().unwrap().is_empty());
}
