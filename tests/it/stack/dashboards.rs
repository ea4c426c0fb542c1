//! The dashboards of Grafana: each query of each panel has something to show.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::Value;

use super::containers::ROOT;
use super::life::Stack;

/// Of the first scrapes: a rate wants two of them.
const LIMIT: Duration = Duration::from_secs(90);

/// Every query of every panel, by dashboard and title, with its variables as `All`.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(format!("{ROOT}/compose/grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(Some(dashboard["uid"].as_str().unwrap()), path.file_stem().unwrap().to_str());
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], "prometheus", "{panel}");
            for target in panel["targets"].as_array().unwrap() {
                // What is shown where nothing happened yet is no data.
                let query = target["expr"].as_str().unwrap().trim_end_matches(" or on () vector(0)");
                let query = query.replace("$__rate_interval", "1m");
                let query = query.replace("$__range", "1h").replace("$model", ".*").replace("$name", ".*");
                let place = format!("{} / {}", dashboard["title"].as_str().unwrap(), panel["title"].as_str().unwrap());
                queries.push((place, query));
            }
        }
    }
    queries
}

/// How many queries there are, each of which has given a number.
pub(super) async fn all_have_data(stack: &Stack) -> usize {
    let (queries, since) = (queries(), Instant::now());
    let of = |name: &str| queries.iter().any(|(place, _)| place.starts_with(name));
    assert!(["Model performance", "API metrics", "Tidegate"].iter().all(|name| of(name)));
    for (place, query) in &queries {
        loop {
            let answer = asked(stack, query).await;
            let values = answer["data"]["result"].as_array();
            let is_number = |one: &Value| one["value"][1].as_str().is_some_and(|value| value != "NaN");
            if values.is_some_and(|values| values.iter().any(is_number)) {
                break;
            }
            assert!(since.elapsed() < LIMIT, "{place} shows nothing by {query}: {answer}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    queries.len()
}

/// The number that a query gives.
pub(super) async fn number(stack: &Stack, query: &str) -> Option<f64> {
    asked(stack, query).await["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// What Prometheus answers.
async fn asked(stack: &Stack, query: &str) -> Value {
    let url = Url::parse_with_params("http://127.0.0.1:9090/api/v1/query", [("query", query)]).unwrap();
    match stack.client.get(url).send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    }
}
