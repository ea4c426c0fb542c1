//! One client connection: HTTP/1 with keep-alive, until the client leaves, the simulator stops,
//! or a fault makes it speak something that is not HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::{Notify, watch};

use crate::handler::{self, Model};
use crate::reply::Reply;
use crate::route::Route;
use crate::simulator::stopped;

/// A client that takes longer to send its request's head is cut off.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const GARBAGE: &[u8] = b"\x16\x03\x01\xff\xfethis is not an answer\r\n\r\n\x00\x00";

/// Answers requests until the connection ends.
pub(crate) async fn serve(tcp: TcpStream, model: Arc<Model>, mut stop: watch::Receiver<bool>) {
    let garble = Arc::new(Notify::new());
    let service = {
        let (garble, stop) = (garble.clone(), stop.clone());
        service_fn(move |request| answer(request, model.clone(), garble.clone(), stop.clone()))
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(tcp), service);
    // What ends a connection early (a client that went away) is the client's affair, so errors are dropped.
    select! {
        _ = &mut connection => {}
        () = garble.notified() => speak_garbage(connection.into_parts().io.into_inner()).await,
        () = stopped(&mut stop) => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    model: Arc<Model>,
    garble: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) -> Result<Reply, Infallible> {
    let route = Route::of(request.method(), request.uri().path());
    let dials = model.panel.read();
    if route.is_within(dials.garbage) {
        // The connection's own task takes the socket away from HTTP, which ends this future.
        garble.notify_one();
        std::future::pending::<()>().await;
    }
    if route.is_within(dials.hang) {
        // Ends with the client's patience or with the simulator.
        stopped(&mut stop).await;
    }
    Ok(handler::answer(model, route, request).await)
}

async fn speak_garbage(mut tcp: TcpStream) {
    let _ = tcp.write_all(GARBAGE).await;
    let _ = tcp.shutdown().await;
}
