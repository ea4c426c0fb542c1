//! What passes through, and what stays.

use super::upstream::{Echo, exchange, raw, read_head, serve_raw};
use super::*;

#[tokio::test]
async fn the_answer_names_version_arm_and_rollout() {
    let echo = Echo::start("new").await;
    let kit = Kit::serving("m", &[("2.0", 10_000, echo.address), ("1.0", 0, echo.address)]).await;
    let response = kit.get("/m").await;
    assert_eq!(header(&response, "x-model-version"), "2.0");
    assert_eq!(header(&response, "x-rollout-arm"), "candidate");
    assert_eq!(header(&response, "x-rollout-id"), rollout_id("1").as_str());
    kit.adopt(route("m", 2, &[("2.0", 10_000, echo.address)])).await;
    let response = kit.get("/m").await;
    assert_eq!((header(&response, "x-rollout-arm"), header(&response, "x-rollout-id")), ("stable", ""));
}

#[tokio::test]
async fn a_request_without_an_id_gets_one_that_the_client_sees() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    let made = header(&kit.get("/m").await, "x-request-id").to_owned();
    assert_eq!(uuid::Uuid::parse_str(&made).unwrap().get_version_num(), 7);
    assert_eq!(echo.last().headers["x-request-id"], made.as_str());
    let sent = kit.http.get(kit.url("/m")).header("x-request-id", "mine").send().await.unwrap();
    assert_eq!((header(&sent, "x-request-id"), echo.last().headers["x-request-id"].to_str().unwrap()), ("", "mine"));
}

#[tokio::test]
async fn the_upstream_sees_its_own_host_who_asked_and_the_headers_of_its_arm() {
    let echo = Echo::start("1").await;
    let kit = Kit::start().await;
    let mut with_header = route("m", 1, &[("1", 10_000, echo.address)]);
    with_header.arms[0].headers.insert("X-Prompt".to_owned(), "b".to_owned());
    kit.adopt(with_header).await;
    let request = kit
        .http
        .get(kit.url("/m"))
        .header("x-forwarded-for", "10.0.0.9")
        .header("x-prompt", "a")
        .header("x-model-version", "9");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = echo.last().headers;
    assert_eq!(seen["host"], echo.address.to_string());
    assert_eq!(seen["x-forwarded-for"], "10.0.0.9, 127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "http");
    assert_eq!(seen["x-forwarded-host"], kit.running.addr.to_string());
    assert_eq!(seen["x-prompt"], "b");
    assert!(!seen.contains_key("x-model-version"));
    assert_eq!(kit.running.counts.overrides(router::Override::Untrusted), 1);
}

#[tokio::test]
async fn headers_of_one_connection_stay_on_it_both_ways() {
    let (sent, mut seen) = tokio::sync::mpsc::channel(1);
    let address = serve_raw(move |mut tcp| {
        let sent = sent.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            sent.send(read_head(&mut tcp).await).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\nok";
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    let request = "GET /m HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-Drop, close\r\nUpgrade: h2c\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n\r\n";
    let answer = exchange(kit.running.addr, request).await.to_lowercase();
    let seen = seen.recv().await.unwrap().to_lowercase();
    assert!(seen.contains("x-kept: 1") && answer.contains("x-kept: 1"), "{seen}{answer}");
    for gone in ["upgrade", "x-drop", "keep-alive", "te:", "proxy-auth"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    for gone in ["x-inner", "keep-alive", "upgrade"] {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
}

#[tokio::test]
async fn what_is_no_plain_request_is_refused() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    for request in [
        "GET http://h/m HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        "GET /m HTTP/1.1\r\n\r\n",
        "GET /m HTTP/1.0\r\n\r\n",
        "GET /m HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /m HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /m/../n HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /m/%2E%2e/n HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let answer = exchange(kit.running.addr, &request.replacen("\r\n", "\r\nConnection: close\r\n", 1)).await;
        assert!(answer.contains(" 400 ") && answer.contains("urn:tidegate:problem:bad-request"), "{request}{answer}");
    }
    assert_eq!((echo.count(), kit.running.counts.bad_requests()), (0, 8));
    let smuggled = "POST /m HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    assert!(exchange(kit.running.addr, smuggled).await.contains(" 400 "));
    let large = format!("GET /m HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Large: {}\r\n\r\n", "a".repeat(33_000));
    let answer = exchange(kit.running.addr, &large).await;
    assert!(answer.contains(" 431 ") && answer.contains("urn:tidegate:problem:head-too-large"), "{answer}");
    let long = format!("GET /m HTTP/1.1\r\nHost: h\r\nX-Long: {}\r\n\r\n", "a".repeat(80_000));
    // The answer is 431, which the reset of the connection may overtake.
    let answer = exchange(kit.running.addr, &long).await;
    assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    assert_eq!(echo.count(), 0);
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_a_broken_answer() {
    let kit = Kit::serving(
        "m",
        &[("1", 10_000, raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await)],
    )
    .await;
    assert_eq!(kit.get("/m").await.status(), 502);
    assert_eq!((kit.count("1").broken, kit.count("1").errors), (1, 1));
}

#[tokio::test]
async fn answers_without_a_body_end_and_keep_their_headers() {
    let kit = Kit::serving("m", &[("1", 10_000, super::upstream::obedient().await)]).await;
    let head = kit.http.head(kit.url("/m?code=200")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "4"));
    assert_eq!(kit.get("/m?code=304").await.status(), 304);
    let count = kit.await_count("1", |count| count.ended == 2).await;
    assert_eq!((count.errors, count.aborted, count.in_flight), (0, 0, 0));
}
