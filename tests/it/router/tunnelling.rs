//! Upgraded connections.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::upstream::{Echo, read_head, serve_raw};
use super::*;

/// A WebSocket server that gives every message back.
async fn websocket() -> SocketAddr {
    serve_raw(|tcp| async move {
        let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await
}

/// Changes to `protocol`, whatever was asked for, and gives every byte back; the head that it saw goes to the test.
async fn echoing(protocol: &'static str) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (sent, seen) = tokio::sync::mpsc::unbounded_channel();
    let address = serve_raw(move |mut tcp| {
        let sent = sent.clone();
        async move {
            _ = sent.send(read_head(&mut tcp).await.to_ascii_lowercase());
            let head =
                format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
            tcp.write_all(head.as_bytes()).await.unwrap();
            let (mut from, mut to) = tcp.split();
            _ = tokio::io::copy(&mut from, &mut to).await;
        }
    })
    .await;
    (address, seen)
}

async fn ask(kit: &Kit, upgrade: &str) -> (TcpStream, String) {
    let mut tcp = TcpStream::connect(kit.running.addr).await.unwrap();
    let head = format!(
        "GET /m HTTP/1.1\r\nHost: h\r\nX-Session-Id: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&mut tcp).await.to_ascii_lowercase();
    (tcp, answer)
}

#[tokio::test]
async fn a_websocket_talks_through_the_router_and_counts_once_whatever_its_length() {
    let address = websocket().await;
    let kit = Kit::start().await;
    let mut impatient = route("m", 1, &[("2", 5_000, address), ("1", 5_000, address)]);
    impatient.hang_after_ms = Some(1_500);
    let version = impatient.arms[impatient.arm_for("sess-1")].version.to_string();
    kit.adopt(impatient).await;
    let url = format!("ws://{}/m/chat", kit.running.addr);
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
    request.headers_mut().insert("x-session-id", "sess-1".parse().unwrap());
    let tcp = TcpStream::connect(kit.running.addr).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
    assert_eq!(answer.headers()["x-model-version"], *version, "it goes where its session goes");
    let long = "x".repeat(200_000);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_700) {
        for text in ["hello", &long] {
            socket.send(Message::text(text)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), text);
        }
    }
    let count = kit.await_count(&version, |count| count.in_flight == 0).await;
    assert_eq!((count.codes.get(&101), count.hung, count.aborted), (Some(&1), 0, 0));
    assert_eq!((count.ended, count.errors, count.ttft.total(), count.latency.total()), (1, 0, 1, 1), "it counts once");
    socket.close(None).await.unwrap();
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    assert_eq!(kit.count(&version), count, "the end of a tunnel counts nothing");
}

#[tokio::test]
async fn any_protocol_passes_with_its_headers_and_each_side_may_end_first() {
    let (address, mut seen) = echoing("Echo").await;
    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    let (mut tcp, answer) = ask(&kit, "echo, other/2").await;
    let head = seen.recv().await.unwrap();
    assert!(head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nupgrade: echo, other/2\r\n"), "{head}");
    assert!(!head.contains("keep-alive"), "{head}");
    assert!(answer.starts_with("http/1.1 101 ") && answer.contains("\r\nupgrade: echo\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nconnection: upgrade\r\n") && answer.contains("\r\nx-model-version: 1\r\n"),
        "{answer}"
    );
    tcp.write_all(b"ping").await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut back = String::new();
    tcp.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "ping", "what is under way arrives though the client is done");
}

#[tokio::test]
async fn a_refused_upgrade_counts_as_what_it_is_and_a_wrong_one_as_broken() {
    for (answer, status, errors, broken) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"[..], "503", 1, 0),
        (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", "426", 0, 0),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n", "502", 1, 1),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "502", 1, 1),
    ] {
        let kit = Kit::serving("m", &[("1", 10_000, super::upstream::raw(answer).await)]).await;
        let (_tcp, head) = ask(&kit, "echo").await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        let count = kit.await_count("1", |count| count.ended == 1).await;
        assert_eq!((count.errors, count.broken), (errors, broken), "{head}");
    }
}

#[tokio::test]
async fn http_2_does_not_hide_in_a_tunnel() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    for upgrade in ["h2c", "websocket, H2C"] {
        let (_tcp, head) = ask(&kit, upgrade).await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(!echo.last().headers.contains_key("upgrade"));
    }
}

#[tokio::test]
async fn a_tunnel_ends_when_it_is_silent_and_when_the_grace_of_a_stop_is_over() {
    let (address, _seen) = echoing("echo").await;
    let quick = Kit::with(Limits { idle_tunnel: Duration::from_millis(100), ..Limits::default() }).await;
    quick.adopt(route("m", 1, &[("1", 10_000, address)])).await;
    let (mut tcp, _) = ask(&quick, "echo").await;
    assert_eq!(tcp.read(&mut [0; 8]).await.unwrap_or(0), 0, "silence ends it");

    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    let (mut tcp, _) = ask(&kit, "echo").await;
    let Kit { running, folder: _folder, .. } = kit;
    let stopping = tokio::spawn(running.stop(Duration::from_millis(700)));
    tcp.write_all(b"still").await.unwrap();
    let mut back = [0; 5];
    tcp.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"still", "within the grace it goes on");
    assert!(!stopping.await.unwrap(), "it did not end by itself");
    assert_eq!(tcp.read(&mut back).await.unwrap_or(0), 0);
}
