//! Upstreams that fail, and whose fault it is.

use super::upstream::{exchange, nobody, obedient, raw, serve_raw};
use super::*;

const QUICK: Limits = Limits {
    head_timeout: Duration::from_millis(200),
    head_read: Duration::from_secs(75),
    idle_body: Duration::from_millis(200),
    idle_tunnel: Duration::from_millis(200),
};

async fn problem(response: reqwest::Response) -> String {
    assert_eq!(header(&response, "x-model-version"), "1");
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    response.json::<serde_json::Value>().await.unwrap()["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_502() {
    let kit = Kit::serving("m", &[("1", 10_000, nobody().await)]).await;
    let response = kit.get("/m").await;
    assert_eq!(response.status(), 502);
    assert_eq!(problem(response).await, "urn:tidegate:problem:upstream-unreachable");
    let count = kit.count("1");
    assert_eq!((count.connect_failures, count.errors, count.ended, count.of_class(5)), (1, 1, 1, 1));
    assert_eq!(count.latency.total(), 0, "failing fast is not being fast");
}

#[tokio::test]
async fn an_upstream_that_closes_or_talks_garbage_is_502() {
    for answer in
        [&b""[..], b"\0\0garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"]
    {
        let kit = Kit::serving("m", &[("1", 10_000, raw(answer).await)]).await;
        let response = kit.get("/m").await;
        assert_eq!(response.status(), 502, "{answer:?}");
        assert_eq!(problem(response).await, "urn:tidegate:problem:upstream-broken");
        let count = kit.count("1");
        assert_eq!((count.broken, count.errors, count.ended), (1, 1, 1));
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_504() {
    let kit = Kit::with(QUICK).await;
    kit.adopt(route("m", 1, &[("1", 10_000, obedient().await)])).await;
    let response = kit.get("/m?ms=5000").await;
    assert_eq!(response.status(), 504);
    assert_eq!(problem(response).await, "urn:tidegate:problem:upstream-timeout");
    let count = kit.count("1");
    assert_eq!((count.timeouts, count.errors, count.ended, count.in_flight), (1, 1, 1, 0));
    assert_eq!(count.latency.total(), 1, "its age counts");
}

#[tokio::test]
async fn a_body_that_is_cut_off_reaches_the_client_cut_and_is_an_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let kit = Kit::serving("m", &[("1", 10_000, raw(answer).await)]).await;
        let response = kit.get("/m").await;
        assert_eq!(response.status(), 200);
        assert!(response.bytes().await.is_err());
        let count = kit.await_count("1", |count| count.ended == 1).await;
        assert_eq!((count.truncated, count.errors, count.aborted), (1, 1, 0));
    }
}

#[tokio::test]
async fn a_body_that_goes_silent_is_cut_and_counts_as_a_timeout() {
    let address = serve_raw(|mut tcp| async move {
        use tokio::io::AsyncWriteExt;
        super::upstream::read_head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await;
    let kit = Kit::with(QUICK).await;
    kit.adopt(route("m", 1, &[("1", 10_000, address)])).await;
    assert!(kit.get("/m").await.bytes().await.is_err());
    let count = kit.await_count("1", |count| count.ended == 1).await;
    assert_eq!((count.timeouts, count.errors, count.truncated), (1, 1, 0));
}

#[tokio::test]
async fn a_request_older_than_the_limit_hangs_even_if_it_ends_well_later() {
    let kit = Kit::start().await;
    let mut impatient = route("m", 1, &[("1", 10_000, obedient().await)]);
    impatient.hang_after_ms = Some(60);
    kit.adopt(impatient).await;
    let (response, hanging) = tokio::join!(kit.get("/m?ms=300"), kit.await_count("1", |count| count.hung == 1));
    assert_eq!((hanging.errors, hanging.ended, hanging.in_flight), (1, 1, 1), "it counts while it hangs");
    assert_eq!(response.status(), 200);
    let count = kit.await_count("1", |count| count.in_flight == 0).await;
    assert_eq!((count.errors, count.ended, count.latency.total(), count.ttft.total()), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_request_without_a_first_byte_is_that_slow_once_its_age_passes_the_limit_and_is_no_error_for_it() {
    let kit = Kit::start().await;
    let mut limited = route("m", 1, &[("1", 10_000, obedient().await)]);
    (limited.silent_after_ms, limited.hang_after_ms) = (Some(60), None);
    kit.adopt(limited).await;
    let (response, silent) = tokio::join!(kit.get("/m?ms=300"), kit.await_count("1", |count| count.ttft.total() == 1));
    assert_eq!((silent.errors, silent.ended, silent.in_flight, silent.latency.total()), (0, 0, 1, 0));
    assert_eq!(response.status(), 200);
    let count = kit.await_count("1", |count| count.in_flight == 0).await;
    assert_eq!((count.errors, count.ended, count.latency.total(), count.ttft.total()), (0, 1, 1, 1));
}

#[tokio::test]
async fn a_smaller_limit_on_the_whole_answer_leaves_the_first_byte_to_its_own() {
    let kit = Kit::start().await;
    let mut limited = route("m", 1, &[("1", 10_000, obedient().await)]);
    (limited.silent_after_ms, limited.hang_after_ms) = (Some(60_000), Some(60));
    kit.adopt(limited).await;
    let (response, hanging) = tokio::join!(kit.get("/m?ms=300"), kit.await_count("1", |count| count.hung == 1));
    assert_eq!((hanging.errors, hanging.latency.total(), hanging.ttft.total()), (1, 1, 0));
    assert_eq!(response.status(), 200);
    let count = kit.await_count("1", |count| count.in_flight == 0).await;
    assert_eq!((count.errors, count.latency.total(), count.ttft.total()), (1, 1, 1));
}

#[tokio::test]
async fn a_client_that_gives_up_counts_nothing_before_the_limit_and_nothing_more_after_it() {
    let kit = Kit::start().await;
    let silent = serve_raw(|mut tcp| async move {
        super::upstream::read_head(&mut tcp).await;
        std::future::pending::<()>().await;
    })
    .await;
    let limited = |generation, ms| {
        let mut route = route("m", generation, &[("1", 10_000, silent)]);
        route.hang_after_ms = Some(ms);
        route
    };
    kit.adopt(limited(1, 600_000)).await;
    let asked = kit.http.get(kit.url("/m")).timeout(Duration::from_millis(50)).send().await;
    assert!(asked.is_err(), "nobody answers here");
    let count = kit.await_count("1", |count| count.aborted == 1).await;
    assert_eq!((count.errors, count.ended, count.latency.total()), (0, 0, 0));
    kit.adopt(limited(2, 20)).await;
    let (url, http) = (kit.url("/m"), kit.http.clone());
    let asking = tokio::spawn(async move { http.get(url).send().await.map(drop) });
    kit.await_count("1", |count| count.hung == 1).await;
    asking.abort();
    let count = kit.await_count("1", |count| count.aborted == 2).await;
    assert_eq!((count.errors, count.ended, count.latency.total(), count.in_flight), (1, 1, 1, 0));
}

#[tokio::test]
async fn one_bad_arm_leaves_the_other_alone() {
    let kit = Kit::serving("m", &[("2", 5_000, nobody().await), ("1", 5_000, obedient().await)]).await;
    for n in 0..40 {
        let response = kit.get_as("/m", &format!("s{n}")).await;
        assert_eq!(response.status() == 502, header(&response, "x-model-version") == "2");
    }
    let (bad, good) = (kit.count("2"), kit.count("1"));
    assert_eq!((bad.errors, good.errors, good.ended + bad.ended), (bad.requests, 0, 40));
}

#[tokio::test]
async fn a_slow_head_of_a_client_ends_its_connection() {
    let kit = Kit::with(Limits { head_read: Duration::from_millis(300), ..Limits::default() }).await;
    let began = Instant::now();
    let answer = exchange(kit.running.addr, "GET /m HTTP/1.1\r\nHost: h\r\n").await;
    assert!(began.elapsed() < Duration::from_secs(5) && !answer.contains(" 200 "), "{answer}");
}
