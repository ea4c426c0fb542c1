//! Servers behind the router, as good or bad as a test wants them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server saw of a request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

/// A server that remembers what it saw and answers with its name.
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Echo {
    pub(super) async fn start(name: &'static str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(note).with_state((name, Arc::clone(&seen)));
        Self { address: serve(app).await, seen }
    }

    pub(super) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

type Notes = (&'static str, Arc<Mutex<Vec<Seen>>>);

async fn note(State((name, seen)): State<Notes>, request: Request) -> &'static str {
    let target = request.uri().to_string();
    seen.lock().unwrap().push(Seen { target, headers: request.headers().clone() });
    name
}

/// Serves an application on a free port for the rest of the test.
pub(super) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Answers after `?ms=` milliseconds with `?code=`, and observes what the header `x-observe` says.
pub(super) async fn obedient() -> SocketAddr {
    #[derive(serde::Deserialize)]
    struct Wish {
        ms: Option<u64>,
        code: Option<u16>,
    }
    async fn obey(Query(wish): Query<Wish>, headers: HeaderMap) -> Response {
        tokio::time::sleep(Duration::from_millis(wish.ms.unwrap_or(0))).await;
        let mut response = "done".into_response();
        *response.status_mut() = wish.code.unwrap_or(200).try_into().unwrap();
        if let Some(observe) = headers.get("x-observe") {
            response.headers_mut().insert("x-tidegate-observe", observe.clone());
        }
        response
    }
    serve(Router::new().fallback(obey)).await
}

/// Reads the head of each request, writes `answer` and closes.
pub(super) async fn raw(answer: &'static [u8]) -> SocketAddr {
    serve_raw(move |mut tcp| async move {
        read_head(&mut tcp).await;
        tcp.write_all(answer).await.unwrap();
    })
    .await
}

/// Hands each connection to `serve`.
pub(super) async fn serve_raw<F, Done>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Done + Send + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// A port on which nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Answers with a body that the test feeds piece by piece.
pub(super) async fn fed(pieces: tokio::sync::mpsc::Receiver<&'static str>) -> SocketAddr {
    let pieces = Arc::new(Mutex::new(Some(pieces)));
    let answer = move || {
        let pieces = pieces.lock().unwrap().take().expect("one request is made");
        let stream = futures_util::stream::unfold(pieces, |mut pieces| async move {
            let piece = pieces.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(piece), pieces))
        });
        async move { ([("content-type", "text/event-stream")], Body::from_stream(stream)) }
    };
    serve(Router::new().fallback(answer)).await
}

/// Reads to the empty line; gives what was read.
pub(super) async fn read_head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Sends raw bytes to `address` and reads the answer to its end.
pub(super) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A cut connection ends the answer like a closed one.
    _ = tcp.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
