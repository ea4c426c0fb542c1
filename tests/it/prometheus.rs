//! Rollouts that are judged from a real Prometheus: it scrapes two model servers, and the verdicts come from its samples alone.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::load::{Load, LoadPlan};

use crate::house::{House, LIMIT};

mod fakes;
mod server;

use server::{ModelServer, Prometheus};

/// Two versions of a model behind a house that asks this Prometheus.
struct Scene {
    house: House,
    prometheus: Prometheus,
    _servers: Vec<ModelServer>,
    _load: Vec<Load>,
}

impl Scene {
    /// One model for each set of dials, which are those of its second version; every model is asked all the time.
    async fn start(models: &[(&str, Value)]) -> Self {
        let mut servers = Vec::new();
        for (model, dials) in models {
            let quick = json!({"latency_median_ms": 5, "latency_sigma": 0.1});
            servers.push(ModelServer::start(model, "v1", &quick));
            servers.push(ModelServer::start(model, "v2", dials));
        }
        let prometheus = Prometheus::start(&servers);
        prometheus.is_scraping(servers.len()).await;
        let house = House::judged_from(&prometheus.url);
        for pair in servers.chunks(2) {
            let (old, new) = (&pair[0], &pair[1]);
            house.serves(&old.model, "v1", &old.url).await;
            house.version(&new.model, "v2", &new.url).await;
        }
        let load = models.iter().map(|(model, _)| {
            let url = format!("{}/{model}/predict", house.router).parse().unwrap();
            Load::start(LoadPlan { rate_per_second: 120.0, ..LoadPlan::new(url) })
        });
        let load = load.collect();
        Self { house, prometheus, _servers: servers, _load: load }
    }

    async fn promote(&self, model: &str, checks: Value, dwell: &str) -> String {
        let policy = json!({
            "steps": [{"split": 50, "dwell": dwell}, {"split": 100, "dwell": "0s"}],
            "checks": checks, "tick": "5s", "warmup": "0s", "inconclusive_budget": "180s"
        });
        self.house.promote(model, "v2", &json!({"policy": policy})).await
    }

    /// Waits until the latest verdict of a rollout is as it should be.
    async fn judged(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.house.until(&format!("/v1/rollouts/{id}"), |rollout| is_so(&rollout["verdict"])).await["verdict"].take()
    }
}

fn success_rate() -> Value {
    json!({
        "metric": "request_success_rate",
        "query": {
            "good": "sentiment_api_requests_total{name=\"{model}\",version=\"{version}\",status!~\"5..\"}",
            "total": "sentiment_api_requests_total{name=\"{model}\",version=\"{version}\"}"
        },
        "rules": {"min_absolute": "0.99"}, "min_samples": 400, "interval": "5s", "window": "step"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_percent_of_errors_in_prometheus_roll_back_and_a_fifth_of_a_percent_passes() {
    let dials = |error_rate: f64| json!({"latency_median_ms": 5, "error_rate": error_rate});
    let scene = Scene::start(&[("worse", dials(0.03)), ("same", dials(0.002))]).await;
    let worse = scene.promote("worse", json!([success_rate()]), "10s").await;

    let rollout = scene.house.ended(&worse).await;
    assert_eq!(rollout["stage"], json!("rolled_back"), "{rollout}");
    assert!(rollout["reason"].as_str().unwrap().starts_with("breach: "), "{rollout}");
    let issue = rollout["issues"][0].as_str().unwrap();
    assert!(issue.starts_with("request_success_rate too low: 0.9") && issue.ends_with(" < 0.99"), "{issue}");
    let check = &rollout["verdict"]["checks"][0];
    let query = check["query"].as_str().unwrap();
    assert!(
        query.contains("sentiment_api_requests_total{name=\"worse\",version=\"v2\",status!~\"5..\"} / "),
        "{query}"
    );
    assert!(check["n_candidate"].as_f64().unwrap() >= 400.0, "{check}");
    assert_eq!(check["limit"], json!(0.99));

    // Seconds of a processor in a second: events that are no share of anything.
    let busy = json!({
        "metric": "cores", "query": {"events": "process_cpu_seconds_total{name=\"{model}\",version=\"{version}\"}"},
        "rules": {"max_absolute": 0.9}, "min_samples": 5
    });
    let same = scene.promote("same", json!([success_rate(), busy]), "10s").await;
    let rollout = scene.house.ended(&same).await;
    assert_eq!(rollout["stage"], json!("completed"), "{rollout}");
    let cores = &rollout["verdict"]["checks"][1];
    assert_eq!((&cores["result"], &cores["method"]), (&json!("pass"), &json!("sequential")), "{cores}");
    assert!(cores["value"].as_f64().is_some_and(|cores| cores > 0.0 && cores < 0.9), "{cores}");
    // What stable did before the rollout is known from the same queries.
    let before = rollout["baseline"]["q:request_success_rate"]["count"]["n"].as_f64();
    assert!(before > Some(100.0), "{}", rollout["baseline"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_p95_behind_a_good_mean_rolls_back_from_the_buckets_of_prometheus() {
    let bimodal = json!({"latency_median_ms": 5, "slow_share": 0.08, "slow_median_ms": 450});
    let scene = Scene::start(&[("bimodal", bimodal)]).await;
    let of = |series: &str| format!("sentiment_api_latency_ms_{series}{{name=\"{{model}}\",version=\"{{version}}\"}}");
    let often = |check: Value| {
        let mut check = check;
        for (field, value) in [("interval", "5s"), ("window", "step")] {
            check[field] = json!(value);
        }
        check
    };
    let checks = json!([
        often(
            json!({"metric": "p95_ms", "query": {"buckets": of("bucket")}, "rules": {"gt": 200}, "min_samples": 300})
        ),
        often(json!({"metric": "mean_ms", "query": {"sum": of("sum"), "count": of("count")}, "rules": {"gt": 200}})),
    ]);
    let id = scene.promote("bimodal", checks, "20s").await;
    let rollout = scene.house.ended(&id).await;
    assert_eq!(rollout["stage"], json!("rolled_back"), "{rollout}");
    assert!(rollout["reason"].as_str().unwrap().starts_with("breach: "), "{rollout}");
    let checks = &rollout["verdict"]["checks"];
    assert_eq!((&checks[0]["result"], &checks[1]["result"]), (&json!("breach"), &json!("pass")), "{checks}");
    assert!(checks[0]["value"].as_f64().unwrap() > 200.0 && checks[1]["value"].as_f64().unwrap() < 200.0, "{checks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_stops_in_mid_rollout_holds_it_and_its_return_lets_it_go_on() {
    let dials = json!({"latency_median_ms": 5});
    let mut scene = Scene::start(&[("held", dials)]).await;
    let id = scene.promote("held", json!([success_rate()]), "15s").await;
    scene.judged(&id, |verdict| verdict["tick"].as_u64().is_some()).await;
    scene.prometheus.stop();
    let verdict = scene.judged(&id, |verdict| verdict["checks"][0]["reason"] == json!("source_failed")).await;
    assert!(["no_data", "error"].contains(&verdict["result"].as_str().unwrap()), "{verdict}");
    let told = verdict["checks"][0]["trouble"].as_str().unwrap();
    assert!(told.starts_with("holding: no data from prometheus since 20"), "{told}");
    // The dwell passes, and nothing else does.
    let held = scene.judged(&id, |verdict| verdict["action"] == json!("extend")).await;
    assert_eq!(held["checks"][0]["reason"], json!("source_failed"), "{held}");
    assert_eq!(scene.house.get(&format!("/v1/rollouts/{id}")).await.1["stage"], json!("observing"));

    scene.prometheus.start_again();
    let rollout = tokio::time::timeout(LIMIT + Duration::from_secs(60), scene.house.ended(&id)).await.unwrap();
    assert_eq!(rollout["stage"], json!("completed"), "{rollout}");
}
