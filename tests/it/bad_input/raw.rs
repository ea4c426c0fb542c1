//! Bytes that no client library would send: whoever refuses them, HTTP's own machinery too, says so in a problem document.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{House, LIMIT};

/// Says something to the API and gives its first answer: head and body.
async fn said(house: &House, bytes: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(house.api.trim_start_matches("http://")).await.unwrap();
    // Who is refused early does not read everything, and may hang up before it is written.
    let _ = stream.write_all(bytes).await;
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(length @ 1..)) = tokio::time::timeout(LIMIT, stream.read(&mut chunk)).await {
        heard.extend_from_slice(&chunk[..length]);
        if is_whole(&heard) {
            break;
        }
    }
    let text = String::from_utf8(heard).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {:?}", bytes.escape_ascii()));
    (head.to_ascii_lowercase(), body.to_owned())
}

fn is_whole(heard: &[u8]) -> bool {
    let text = String::from_utf8_lossy(heard);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length.is_none_or(|length: usize| body.len() >= length)
}

/// A request in bytes, with a host that is ours.
fn request(line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n").into_bytes()
}

fn cases() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let fat = |bytes: usize| request("GET /v1/models", &format!("x-fat: {}\r\n", "y".repeat(bytes)));
    let posted = |length: usize| {
        let mut bytes = request("POST /v1/models", &format!("content-length: {length}\r\n"));
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    };
    vec![
        ("no HTTP", b"HELO localhost\r\n\r\n".to_vec(), 400, "not HTTP"),
        ("no method", b"G=T / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(), 400, "not HTTP"),
        ("two lengths", request("POST /v1/models", "content-length: 5\r\ncontent-length: 6\r\n"), 400, "not HTTP"),
        ("a bad header", request("GET /v1/models", "x y: 1\r\n"), 400, "not HTTP"),
        ("headers that we count", fat(17 * 1024), 431, "at most 64"),
        ("headers that nobody reads", fat(60 * 1024), 431, "larger than is read"),
        ("a long URL", request(&format!("GET /v1/models?cursor={}", "x".repeat(5_000)), ""), 414, "URL has"),
        ("a large body", posted(70_000), 413, "65536"),
        ("no such method", request("DELETE /v1/models", ""), 405, "method"),
        ("no such method of a probe", request("DELETE /livez", ""), 405, "method"),
        ("no such path", request("GET /v2/models", ""), 404, "/v1"),
        ("a query of another kind", request("GET /v1/models?limit=many", ""), 400, "limit"),
        (
            "an unknown query",
            request("POST /v1/registry/m/1/promote?dry-run=true", "content-length: 0\r\n"),
            400,
            "dry-run",
        ),
        ("a path that is no text", request("GET /v1/models/%ff", ""), 400, "UTF-8"),
    ]
}

fn check(what: &str, (head, body): &(String, String), status: u16, words: &str) {
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{what}: {head}");
    assert!(head.contains("\r\ncontent-type: application/problem+json"), "{what}: {head}\n{body}");
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: {body}"));
    assert_eq!(problem["status"], json!(status), "{what}: {problem}");
    let kind = problem["type"].as_str().unwrap();
    assert!(kind.starts_with("urn:tidegate:problem:") && !problem["title"].as_str().unwrap().is_empty(), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(words), "{what}: {problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_refuses_a_request_does_so_in_a_problem_document() {
    let house = House::start();
    for (what, bytes, status, words) in cases() {
        check(what, &said(&house, &bytes).await, status, words);
    }
    let (head, _) = said(&house, &request("DELETE /v1/models", "")).await;
    assert!(head.contains("\r\nallow: "), "{head}");
    // A probe is answered by its status alone.
    let (head, body) = said(&house, &request("GET /readyz", "")).await;
    assert!(head.starts_with("http/1.1 200 ") && body.is_empty(), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_waited_for_ten_seconds() {
    let (house, began) = (House::start(), std::time::Instant::now());
    let answer = said(&house, &request("POST /v1/models", "content-length: 10\r\n")).await;
    check("no body", &answer, 408, "10 s");
    assert!(began.elapsed() >= Duration::from_secs(10));
}
