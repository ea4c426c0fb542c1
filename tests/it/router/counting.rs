//! What the counts say.

use judge::{Signal, SignalName, Spread};

use super::upstream::{Echo, obedient};
use super::*;

#[tokio::test]
async fn an_arm_without_traffic_reports_zeros_and_counts_outlive_routes() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("2", 0, echo.address), ("1", 10_000, echo.address)]).await;
    assert_eq!((kit.count("2").requests, kit.count("2").last_begun_ms), (0, 0));
    assert_eq!(kit.count("2").signals()[&SignalName::error()], Signal::Count { k: 0.0, n: 0.0 });
    kit.get("/m").await;
    kit.adopt(route("m", 2, &[("3", 10_000, echo.address)])).await;
    kit.get("/m").await;
    kit.adopt(route("m", 3, &[("1", 10_000, echo.address)])).await;
    kit.get("/m").await;
    assert_eq!((kit.count("1").requests, kit.count("2").requests, kit.count("3").requests), (2, 0, 1));
    assert_eq!(kit.count("1").exposures, [(rollout_id("1"), 1)], "one of them while the rollout was live");
}

#[tokio::test]
async fn distinct_sessions_are_counted_apart_from_requests_without_one() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("2", 5_000, echo.address), ("1", 5_000, echo.address)]).await;
    for n in 0..120 {
        kit.get_as("/m", &format!("s{}", n % 40)).await;
    }
    for _ in 0..7 {
        kit.get("/m").await;
    }
    let [new, old] = ["2", "1"].map(|version| kit.count(version).exposed.unwrap());
    assert_eq!((new.requests + old.requests, new.no_key + old.no_key), (127, 7));
    let mut all = new.sessions.clone();
    all.merge(&old.sessions);
    assert!(all.estimate().abs_diff(40) <= 1 && all.estimate() >= new.sessions.estimate());
    assert!((new.sessions.estimate() + old.sessions.estimate()).abs_diff(40) <= 2, "a session has one arm");
    let sent = serde_json::to_string(&new.sessions).unwrap();
    assert!(!sent.contains("s1"), "no session leaves the router: {sent}");
}

#[tokio::test]
async fn observations_are_counted_for_the_arm_and_removed() {
    let kit = Kit::serving("m", &[("1", 10_000, obedient().await)]).await;
    for observe in ["cost_usd=0.5, hallucination=1", "cost_usd=1.5,Bad=1,x=nan,y=inf,z,=1,_a=1,b=1e300"] {
        let response = kit.http.get(kit.url("/m")).header("x-observe", observe).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "x-tidegate-observe")), (200, ""));
    }
    let many: Vec<String> = (0..20).map(|n| format!("n{n}=1")).collect();
    kit.http.get(kit.url("/m")).header("x-observe", many.join(",")).send().await.unwrap();
    let count = kit.count("1");
    let cost = count.observed["cost_usd"];
    assert_eq!((cost.n, cost.s1, cost.s2), (2, 2.0, 2.5));
    assert_eq!((count.observed["hallucination"].n, count.observed.len()), (1, 18));
    assert_eq!(count.observations_ignored, 7 + 4);
    assert_eq!(
        count.signals()[&SignalName::observation("cost_usd")],
        Signal::Mean { n: 2.0, s1: 2.0, s2: 2.5, cap: None }
    );
}

#[tokio::test]
async fn names_of_observations_are_bounded() {
    let kit = Kit::serving("m", &[("1", 10_000, obedient().await)]).await;
    for n in 0..80 {
        kit.http.get(kit.url("/m")).header("x-observe", format!("n{n}=1")).send().await.unwrap();
    }
    assert_eq!((kit.count("1").observed.len(), kit.count("1").observations_ignored), (64, 16));
}

#[tokio::test]
async fn only_server_errors_are_errors() {
    let kit = Kit::serving("m", &[("1", 10_000, obedient().await)]).await;
    for code in [200, 201, 404, 429, 500, 503, 503, 599] {
        assert_eq!(kit.get(&format!("/m?code={code}")).await.status(), code);
    }
    let count = kit.await_count("1", |count| count.ended == 8).await;
    assert_eq!(
        (count.errors, count.of_class(2), count.of_class(4), count.of_class(5), count.codes[&503]),
        (4, 2, 2, 4, 2)
    );
    assert_eq!(count.signals()[&SignalName::error()], Signal::Count { k: 4.0, n: 8.0 });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(u64::try_from(now).unwrap() - count.last_begun_ms < 5_000);
}

#[tokio::test]
async fn quantiles_of_the_histogram_are_within_five_percent() {
    let kit = Kit::serving("m", &[("1", 10_000, obedient().await)]).await;
    let asked = (0..300u64).map(|n| {
        let kit = &kit;
        async move {
            let began = Instant::now();
            kit.get(&format!("/m?ms={}", 100 + n)).await.bytes().await.unwrap();
            began.elapsed().as_secs_f64() * 1000.0
        }
    });
    use futures_util::StreamExt;
    let mut exact: Vec<f64> = futures_util::stream::iter(asked).buffer_unordered(20).collect().await;
    exact.sort_by(f64::total_cmp);
    let count = kit.await_count("1", |count| count.ended == 300).await;
    for cells in [&count.latency, &count.ttft] {
        let mut dense = [0.0; judge::edges::CELL_COUNT];
        cells.cells().for_each(|(cell, events)| dense[cell] = events as f64);
        for (q, at) in [(0.5, 149), (0.95, 284), (0.99, 296)] {
            let read = judge::quantile(&judge::edges::LATENCY_EDGES_MS, &dense, q).unwrap().value;
            assert!((read / exact[at] - 1.0).abs() < 0.05, "p{q}: {read} against {}", exact[at]);
        }
    }
}

#[tokio::test]
async fn the_page_for_prometheus_has_the_names_of_the_contract() {
    let kit = Kit::serving("m", &[("2", 10_000, obedient().await), ("1", 0, obedient().await)]).await;
    kit.get("/m").await;
    kit.get("/m?code=500").await;
    kit.http.get(kit.url("/m")).header("x-model-version", "1").send().await.unwrap();
    kit.await_count("2", |count| count.ended == 3).await;
    let page = kit.running.counts.prometheus();
    for line in [
        r#"tidegate_route_requests_total{tenant="default",model="m",model_version="2",canary="true",code="200"} 2"#,
        r#"tidegate_route_requests_total{tenant="default",model="m",model_version="2",canary="true",code="500"} 1"#,
        r#"tidegate_route_request_duration_seconds_bucket{tenant="default",model="m",model_version="2",le="500"} 3"#,
        r#"tidegate_route_request_duration_seconds_bucket{tenant="default",model="m",model_version="1",le="+Inf"} 0"#,
        r#"tidegate_route_request_duration_seconds_count{tenant="default",model="m",model_version="2"} 3"#,
        r#"tidegate_route_overrides_total{result="untrusted"} 1"#,
        r#"tidegate_route_generation{tenant="default",model="m"} 1"#,
        r#"tidegate_route_age_seconds{tenant="default",model="m"} 0"#,
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn a_keep_alive_connection_answers_many_requests() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    let request =
        "GET /m HTTP/1.1\r\nHost: h\r\n\r\n".repeat(9) + "GET /m HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answers = super::upstream::exchange(kit.running.addr, &request).await;
    assert_eq!((answers.matches("HTTP/1.1 200 OK").count(), echo.count()), (10, 10));
}

#[tokio::test]
async fn values_are_counted_by_size_for_as_long_as_the_route_asks_for_it() {
    let kit = Kit::start().await;
    let arms = [("1", 10_000, obedient().await)];
    let ask = async |observe: &str| {
        kit.http.get(kit.url("/m")).header("x-observe", observe).send().await.unwrap();
    };
    let by_size = |generation| Route { by_size: vec!["cost_usd".to_owned()], ..route("m", generation, &arms) };
    let spread = || kit.count("1").spreads.remove("cost_usd");
    kit.adopt(route("m", 1, &arms)).await;
    ask("cost_usd=7").await;
    assert_eq!(spread(), None);
    kit.adopt(by_size(2)).await;
    // What is there from the first sample on is where the counts begin.
    assert_eq!(spread(), Some(Spread::default()));
    ask("cost_usd=0.02, tokens=100").await;
    kit.adopt(by_size(3)).await;
    ask("cost_usd=9").await;
    let values = spread().unwrap();
    assert_eq!(values.cut(0.25), Signal::Mean { n: 2.0, s1: 0.27, s2: 0.0004 + 0.0625, cap: Some(0.25) });
    assert_eq!(kit.count("1").spreads.len(), 1, "of tokens nobody asked");
    kit.adopt(route("m", 4, &arms)).await;
    assert_eq!((spread(), kit.count("1").observed["cost_usd"].n), (None, 3));
}
