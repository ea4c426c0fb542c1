//! Bodies as they flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::upstream::{fed, read_head, serve_raw};
use super::*;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn the_first_event_arrives_at_once() {
    let (feed, pieces) = mpsc::channel(1);
    let kit = Kit::serving("m", &[("1", 10_000, fed(pieces).await)]).await;
    feed.send("data: 1\n\n").await.unwrap();
    let mut response = kit.get("/m").await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    assert_eq!((kit.count("1").in_flight, kit.count("1").ended), (1, 0));
    feed.send("data: 2\n\n").await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 2\n\n");
    drop(feed);
    assert_eq!(response.chunk().await.unwrap(), None);
    let count = kit.await_count("1", |count| count.ended == 1).await;
    assert_eq!((count.errors, count.in_flight), (0, 0));
}

#[tokio::test]
async fn an_upload_of_100_mib_waits_for_its_reader_and_arrives_whole() {
    let (read, may_read) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let (reader, gate) = (Arc::clone(&read), Arc::clone(&may_read));
    let address = serve_raw(move |mut tcp| {
        let (read, gate) = (Arc::clone(&reader), Arc::clone(&gate));
        async move {
            read_head(&mut tcp).await;
            gate.acquire().await.unwrap().forget();
            let mut buffer = vec![0; MIB];
            while read.load(Relaxed) < 100 * MIB as u64 {
                let length = tcp.read(&mut buffer).await.unwrap();
                assert!(buffer[..length].iter().all(|byte| *byte == 7));
                read.fetch_add(length as u64, Relaxed);
            }
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    let (mut from_router, mut to_router) = TcpStream::connect(kit.running.addr).await.unwrap().into_split();
    to_router
        .write_all(format!("POST /m HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 100 * MIB).as_bytes())
        .await
        .unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&written);
    tokio::spawn(async move {
        let piece = vec![7; MIB / 16];
        for _ in 0..1_600 {
            to_router.write_all(&piece).await.unwrap();
            progress.fetch_add(piece.len() as u64, Relaxed);
        }
        std::future::pending::<()>().await;
        drop(to_router);
    });
    // Nobody reads: what was taken lies in the buffers of four sockets, and no more comes.
    let mut before = u64::MAX;
    while written.load(Relaxed) != before {
        before = written.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(before < 24 * MIB as u64, "{before} bytes were taken that nobody read");
    may_read.add_permits(1);
    let mut answer = vec![0; 15];
    from_router.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    assert_eq!(read.load(Relaxed), 100 * MIB as u64);
}

#[tokio::test]
async fn a_download_of_100_mib_waits_for_its_reader() {
    let sent = Arc::new(AtomicU64::new(0));
    let sender = Arc::clone(&sent);
    let address = serve_raw(move |mut tcp| {
        let sent = Arc::clone(&sender);
        async move {
            read_head(&mut tcp).await;
            tcp.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 * MIB).as_bytes())
                .await
                .unwrap();
            let piece = vec![7; MIB / 16];
            for _ in 0..1_600 {
                tcp.write_all(&piece).await.unwrap();
                sent.fetch_add(piece.len() as u64, Relaxed);
            }
        }
    })
    .await;
    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    let mut tcp = TcpStream::connect(kit.running.addr).await.unwrap();
    tcp.write_all(b"GET /m HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    read_head(&mut tcp).await;
    let mut before = u64::MAX;
    while sent.load(Relaxed) != before {
        before = sent.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(before < 24 * MIB as u64, "{before} bytes were taken that nobody read");
    let mut buffer = vec![0; MIB];
    let mut total = 0;
    while let length @ 1.. = tcp.read(&mut buffer).await.unwrap() {
        total += length;
    }
    assert_eq!(total, 100 * MIB);
    assert_eq!(kit.await_count("1", |count| count.ended == 1).await.errors, 0);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_call_and_is_no_error() {
    let (closed, mut was_closed) = mpsc::channel(2);
    let address = serve_raw(move |mut tcp| {
        let closed = closed.clone();
        async move {
            let head = read_head(&mut tcp).await;
            if head.contains("/streaming") {
                tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
            }
            // Ends when the router closes.
            _ = tcp.read(&mut [0]).await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let kit = Kit::serving("m", &[("1", 10_000, address)]).await;
    for (number, path) in [(1, "/m/before-the-head"), (2, "/m/streaming")] {
        let mut tcp = TcpStream::connect(kit.running.addr).await.unwrap();
        tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
        if number == 2 {
            read_head(&mut tcp).await;
        } else {
            kit.await_count("1", |count| count.in_flight == 1).await;
        }
        drop(tcp);
        tokio::time::timeout(Duration::from_secs(2), was_closed.recv())
            .await
            .expect("the upstream call is cancelled")
            .unwrap();
        let count = kit.await_count("1", |count| count.aborted == number).await;
        assert_eq!((count.errors, count.ended, count.in_flight), (0, 0, 0));
    }
}

#[tokio::test]
async fn an_upload_that_stops_is_not_the_arms_fault() {
    let address = serve_raw(|mut tcp| async move { _ = tcp.read_to_end(&mut Vec::new()).await }).await;
    let limits =
        Limits { head_timeout: Duration::from_millis(100), idle_body: Duration::from_millis(300), ..Limits::default() };
    let kit = Kit::with(limits).await;
    let mut quick = route("m", 1, &[("1", 10_000, address)]);
    quick.hang_after_ms = Some(50);
    kit.adopt(quick).await;
    let answer =
        super::upstream::exchange(kit.running.addr, "POST /m HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
            .await;
    assert!(answer.contains(" 408 "), "{answer}");
    let count = kit.await_count("1", |count| count.aborted == 1).await;
    assert_eq!((count.errors, count.ended, count.hung, count.timeouts), (0, 0, 0, 0));
}
