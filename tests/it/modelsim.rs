//! The model server keeps the contract of a real one over real sockets, and its dials do what they say.

#![expect(clippy::unwrap_used, reason = "test support, where a panic is the report")]

use std::time::{Duration, Instant};

use modelsim::{Config, Dials, Reach, Running, Simulator};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn quick() -> Dials {
    Dials { latency_median_ms: 1.0, latency_sigma: 0.0, ..Dials::default() }
}

async fn simulator(dials: Dials) -> Running {
    Simulator::start(Config { dials, ..Config::new("sentiment", "v2") }).await.unwrap()
}

async fn get(running: &Running, path: &str) -> (u16, Value) {
    let response = Client::new().get(running.url() + path).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn post(running: &Running, path: &str, body: &str) -> (u16, Value) {
    let request = Client::new().post(running.url() + path).body(body.to_owned());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn patch(running: &Running, body: &Value) -> (u16, Value) {
    let response = Client::new().patch(running.url() + "/dials").json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn health_says_status_model_loaded_and_version() {
    let running = simulator(quick()).await;
    let healthy = json!({ "status": "healthy", "model_loaded": true, "version": "v2" });
    assert_eq!(get(&running, "/health").await, (200, healthy));

    running.dials.turn(|dials| dials.load_failure = true).unwrap();
    let failed = json!({ "status": "load_failed", "model_loaded": false, "version": "v2" });
    assert_eq!(get(&running, "/health").await, (503, failed));
    assert_eq!(post(&running, "/predict", r#"{"text": "good"}"#).await.0, 503);
}

#[tokio::test]
async fn a_slow_start_is_not_ready_until_it_is_over() {
    let running = simulator(Dials { slow_start_ms: 300, ..quick() }).await;
    let loading = json!({ "status": "loading", "model_loaded": false, "version": "v2" });
    assert_eq!(get(&running, "/health").await, (503, loading));
    let ready = async { while get(&running, "/health").await.0 != 200 {} };
    timeout(PATIENCE, ready).await.unwrap();
}

#[tokio::test]
async fn a_wrong_version_is_reported_everywhere() {
    let running = simulator(Dials { reported_version: Some("v9".to_owned()), ..quick() }).await;
    assert_eq!(get(&running, "/health").await.1["version"], "v9");
    assert_eq!(get(&running, "/info").await.1["version"], "v9");
    let (_, answer) = post(&running, "/predict", r#"{"text": "good"}"#).await;
    assert_eq!(answer["model_version"], "v9");
}

#[tokio::test]
async fn info_repeats_the_environment_that_chose_the_model() {
    let config = Config {
        env_name: Some("sentiment".to_owned()),
        env_version: Some("v2".to_owned()),
        ..Config::new("sentiment", "v2")
    };
    let running = Simulator::start(config).await.unwrap();
    let (status, info) = get(&running, "/info").await;
    assert_eq!(status, 200);
    assert_eq!(info["MODEL_NAME"], "sentiment");
    assert_eq!(info["MODEL_VERSION"], "v2");
    assert_eq!(info["input_shape"], json!([128]));
    assert_eq!(info["output_classes"], 3);
    assert_eq!(info["labels"], json!(["negative", "neutral", "positive"]));
}

#[tokio::test]
async fn a_prediction_has_every_promised_field() {
    let running = simulator(quick()).await;
    let (status, answer) = post(&running, "/predict", r#"{"text": "A great day"}"#).await;
    assert_eq!(status, 200);
    assert_eq!(answer["sentiment"], "positive");
    assert_eq!(answer["probabilities"]["positive"], answer["confidence"]);
    assert_eq!(answer["model_version"], "v2");
    assert!(answer["latency_ms"].as_f64().unwrap() >= 1.0);
    let probabilities = answer["probabilities"].as_object().unwrap().values();
    let sum: f64 = probabilities.map(|value| value.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[tokio::test]
async fn a_prediction_without_a_text_is_refused_with_400_and_a_json_error() {
    let running = simulator(quick()).await;
    for body in ["{}", r#"{"text": 7}"#, r#"{"text": " "}"#, "[]", "null", "{", ""] {
        for path in ["/predict", "/predict/stream"] {
            let (status, answer) = post(&running, path, body).await;
            assert_eq!(status, 400, "{path} {body}");
            assert!(answer["error"].is_string(), "{path} {body}");
        }
    }
    assert_eq!(post(&running, "/predict", "{}").await.1["field"], "text");
}

#[tokio::test]
async fn a_batch_wants_an_array_of_texts() {
    let running = simulator(quick()).await;
    for (body, field) in [(r#"{"texts": "good"}"#, "texts"), ("{}", "texts"), (r#"{"texts": ["good", 1]}"#, "texts[1]")]
    {
        let (status, answer) = post(&running, "/predict/batch", body).await;
        assert_eq!((status, &answer["field"]), (400, &json!(field)), "{body}");
    }
    let (status, answer) = post(&running, "/predict/batch", r#"{"texts": ["good", "bad"]}"#).await;
    assert_eq!((status, &answer["count"]), (200, &json!(2)));
    assert_eq!(answer["predictions"][0]["sentiment"], "positive");
    assert_eq!(answer["predictions"][1]["sentiment"], "negative");
}

#[tokio::test]
async fn a_failing_model_answers_500_with_a_json_error_and_no_observations() {
    let running = simulator(Dials { error_rate: 1.0, ..quick() }).await;
    let request = Client::new().post(running.url() + "/predict").json(&json!({ "text": "good" }));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(!response.headers().contains_key("x-tidegate-observe"));
    let answer: Value = response.json().await.unwrap();
    assert!(answer["error"].is_string());
}

#[tokio::test]
async fn a_body_above_one_mebibyte_and_unknown_paths_and_methods_are_refused() {
    let running = simulator(quick()).await;
    let body = json!({ "text": "x".repeat(1 << 20) }).to_string();
    assert_eq!(post(&running, "/predict", &body).await.0, 413);
    assert_eq!(get(&running, "/predict").await.0, 405);
    assert_eq!(get(&running, "/nowhere").await.0, 404);
}

#[tokio::test]
async fn metrics_have_the_names_labels_and_buckets_that_dashboards_ask_for() {
    let running = simulator(Dials { latency_median_ms: 60.0, latency_sigma: 0.0, ..quick() }).await;
    post(&running, "/predict", r#"{"text": "good"}"#).await;
    post(&running, "/predict", "{}").await;
    get(&running, "/health").await;
    let response = Client::new().get(running.url() + "/metrics").send().await.unwrap();
    let text = response.text().await.unwrap();
    for line in [
        "# TYPE sentiment_api_requests_total counter",
        r#"sentiment_api_requests_total{method="POST",status="200"} 1"#,
        r#"sentiment_api_requests_total{method="POST",status="400"} 1"#,
        "# TYPE sentiment_api_latency_ms histogram",
        r#"sentiment_api_latency_ms_bucket{le="50"} 1"#,
        r#"sentiment_api_latency_ms_bucket{le="500"} 2"#,
        r#"sentiment_api_latency_ms_bucket{le="+Inf"} 2"#,
        "sentiment_api_latency_ms_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let edges = text.lines().filter_map(|line| line.split_once("le=\"")?.1.split('"').next());
    assert_eq!(edges.collect::<Vec<_>>(), ["10", "50", "100", "200", "500", "+Inf"]);
    assert!(text.contains(r#"sentiment_prediction_confidence{model_version="v2"} 0."#), "{text}");
    assert_eq!(running.predictions(), 2);
}

#[tokio::test]
async fn every_good_prediction_declares_its_observations() {
    let dials = Dials {
        hallucination_rate: 1.0,
        cost_usd_mean: 0.0123,
        cost_usd_spread: 0.0,
        quality_mean: 0.82,
        quality_spread: 0.0,
        ..quick()
    };
    let running = simulator(dials).await;
    for (path, body) in [
        ("/predict", json!({ "text": "good" })),
        ("/predict/stream", json!({ "text": "good" })),
        ("/predict/batch", json!({ "texts": ["good", "bad"] })),
    ] {
        let response = Client::new().post(running.url() + path).json(&body).send().await.unwrap();
        let observed = response.headers()["x-tidegate-observe"].to_str().unwrap();
        assert_eq!(observed, "cost_usd=0.0123, hallucination=1, quality=0.82", "{path}");
    }
}

#[tokio::test]
async fn the_same_seed_fails_the_same_predictions_again() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let running = simulator(Dials { error_rate: 0.3, latency_median_ms: 0.0, ..quick() }).await;
        let mut statuses = Vec::new();
        for _ in 0..100 {
            statuses.push(post(&running, "/predict", r#"{"text": "good"}"#).await.0);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|status| **status == 500).count();
    assert!((20..=40).contains(&failed), "{failed} of 100 failed");
}

#[tokio::test]
async fn latency_is_waited_for_and_has_a_second_mode() {
    let running = simulator(quick()).await;
    let slow = json!({ "slow_share": 1.0, "slow_median_ms": 150.0 });
    assert_eq!(patch(&running, &slow).await.0, 200);
    let asked_at = Instant::now();
    post(&running, "/predict", r#"{"text": "good"}"#).await;
    assert!(asked_at.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_bad_change_of_dials_names_the_dial_and_changes_nothing() {
    let running = simulator(quick()).await;
    let before = running.dials.read();
    for (change, field) in [
        (json!({ "error_rate": 0.5, "eror_rate": 0.5 }), "eror_rate"),
        (json!({ "error_rate": 1.5 }), "error_rate"),
        (json!({ "quality_mean": "high" }), "quality_mean"),
        (json!({ "hang": true }), "hang"),
        (json!({ "load_failure": null }), "load_failure"),
        (json!({ "slow_start_ms": -1 }), "slow_start_ms"),
        (json!([]), "*"),
    ] {
        let (status, answer) = patch(&running, &change).await;
        assert_eq!((status, &answer["field"]), (400, &json!(field)), "{change}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(field), "{answer}");
    }
    assert_eq!(running.dials.read(), before);
    let (status, after) = patch(&running, &json!({ "error_rate": 0.25 })).await;
    assert_eq!((status, &after["error_rate"]), (200, &json!(0.25)));
    assert_eq!(get(&running, "/dials").await, (200, after));
}

#[tokio::test]
async fn a_hanging_model_never_answers_but_can_be_cured_and_stopped() {
    let running = simulator(Dials { hang: Reach::Predictions, ..quick() }).await;
    let asked = timeout(Duration::from_millis(200), post(&running, "/predict", "{}")).await;
    assert!(asked.is_err());
    assert_eq!(get(&running, "/health").await.0, 200);
    patch(&running, &json!({ "hang": "everything" })).await;
    assert!(timeout(Duration::from_millis(200), get(&running, "/health")).await.is_err());
    patch(&running, &json!({ "hang": "off" })).await;
    assert_eq!(post(&running, "/predict", "{}").await.0, 400);

    running.dials.turn(|dials| dials.hang = Reach::Everything).unwrap();
    let url = running.url() + "/info";
    let hung = tokio::spawn(async move { Client::new().get(url).send().await });
    timeout(PATIENCE, running.stop()).await.unwrap();
    assert!(timeout(PATIENCE, hung).await.is_ok());
}

#[tokio::test]
async fn garbage_is_not_http_and_ends_when_the_dial_is_turned_back() {
    let running = simulator(quick()).await;
    let client = Client::new();
    let ask = || client.post(running.url() + "/predict").json(&json!({ "text": "good" })).send();
    assert!(ask().await.is_ok());
    patch(&running, &json!({ "garbage": "predictions" })).await;
    assert!(ask().await.is_err());
    assert_eq!(get(&running, "/health").await.0, 200);
    patch(&running, &json!({ "garbage": "off" })).await;
    assert!(ask().await.is_ok());
}

#[tokio::test]
async fn a_stream_sends_its_tokens_one_by_one_and_then_the_answer() {
    let running = simulator(Dials { latency_median_ms: 300.0, latency_sigma: 0.0, ..quick() }).await;
    let request = Client::new().post(running.url() + "/predict/stream");
    let mut response = request.json(&json!({ "text": "a great day" })).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = response.chunk().await.unwrap().unwrap();
    let first_at = Instant::now();
    assert_eq!(first, "event: token\ndata: {\"token\":\"a\"}\n\n");
    let rest = response.text().await.unwrap();
    assert!(first_at.elapsed() >= Duration::from_millis(200), "the first token came with the last");
    assert_eq!(rest.matches("event: token").count(), 2, "{rest}");
    let done = rest.split("event: done\ndata: ").nth(1).unwrap();
    let answer: Value = serde_json::from_str(done.trim()).unwrap();
    assert_eq!((&answer["sentiment"], &answer["model_version"]), (&json!("positive"), &json!("v2")));
}

#[tokio::test]
async fn a_stop_lets_an_answer_under_way_finish() {
    let running = simulator(Dials { latency_median_ms: 300.0, latency_sigma: 0.0, ..quick() }).await;
    let request = Client::new().post(running.url() + "/predict").json(&json!({ "text": "good" }));
    let mut asked = tokio::spawn(request.send());
    assert!(timeout(Duration::from_millis(100), &mut asked).await.is_err());
    running.stop().await;
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
}
