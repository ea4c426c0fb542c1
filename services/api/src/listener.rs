//! The listener: who may connect, how long a request may take, and a stop that finishes what is in hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use chassis::{Core, Environment};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::Access;
use crate::events::Peer;
use crate::problem::Bare;
use crate::{guard, routes};

/// As much of a request's head is read: more than is taken, so that a refusal can say why.
const HEAD_BYTES_MAX: usize = 24 * 1024;
/// A client has this long for its headers, and as long between two requests: hyper has one clock for both, and a shorter one
/// would cut connections that clients think they can use again.
const HEADER_LIMIT: Duration = Duration::from_secs(75);
/// A client that takes nothing of its answer for this long is cut.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// What is in hand when the process stops has this long, less than the stop itself.
const GRACE: Duration = Duration::from_secs(5);
const LIMITS: Limits = Limits { stall: STALL_LIMIT, grace: GRACE };
/// Open connections at once: enough for people and scripts, few enough for the file descriptors.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a conversation may take where its client does nothing.
#[derive(Debug, Clone, Copy)]
struct Limits {
    stall: Duration,
    grace: Duration,
}

/// Listens on `address` and serves the API until the process stops; gives the address that it got.
///
/// # Errors
/// One sentence when the address can't be used, or is not a loopback address and there is no key.
pub async fn listen(core: &Core, address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let mut environment = Environment::of_process();
    let access = Access::read(&mut environment);
    environment.finish()?;
    if matches!(access, Access::ThisMachine) && !address.ip().is_loopback() {
        bail!(
            "can't listen on {address}: without a key the API serves this machine alone; use 127.0.0.1:{}, or name a file with a key in TIDEGATE_ADMIN_KEY_FILE",
            address.port()
        );
    }
    let listener = TcpListener::bind(address).await.map_err(|cause| unheard(address, &cause))?;
    let bound = listener.local_addr()?;
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(access, guard::guard))
        .layer(CatchPanicLayer::new())
        .layer(DefaultBodyLimit::max(guard::POLICY_BYTES_MAX));
    let app = routes(core).layer(layers);
    let core = core.clone();
    core.tasks.clone().spawn(async move { accept(core, listener, app).await });
    Ok(bound)
}

fn unheard(address: SocketAddr, cause: &std::io::Error) -> anyhow::Error {
    if cause.kind() == std::io::ErrorKind::AddrInUse {
        return anyhow::anyhow!(
            "can't listen on {address}: another process listens there already; stop it, or choose another address with --listen"
        );
    }
    anyhow::anyhow!("can't listen on {address}: {cause}")
}

async fn accept(core: Core, listener: TcpListener, app: axum::Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted =
            tokio::select! { accepted = listener.accept() => accepted, () = core.stop.cancelled() => return };
        match accepted {
            Ok((stream, address)) => {
                let (stop, app) = (core.stop.clone(), app.clone());
                core.tasks.spawn(async move {
                    // Requests are small: without this the last bytes of an answer wait for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    converse(stream, (app, Peer(address.ip())), LIMITS, stop.cancelled_owned()).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!("can't accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse<S>(stream: S, (app, peer): (axum::Router, Peer), limits: Limits, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite,
{
    let app = app.map_request(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stall));
    let stream = TokioIo::new(Bare::new(Box::pin(stream)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(server.serve_connection(stream, TowerToHyperService::new(app)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(limits.grace, connection).await else { return };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    const NEVER: Duration = Duration::from_secs(600);

    /// An app that never ends its answer: in one piece after the other, or after the first.
    fn endless(is_loud: bool) -> axum::Router {
        let pieces = move || {
            stream::unfold(0_u64, move |count| async move {
                if count > 0 && !is_loud {
                    std::future::pending::<()>().await;
                }
                Some((Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024])), count + 1))
            })
        };
        axum::Router::new().route("/", get(move || async move { Body::from_stream(pieces()) }))
    }

    /// A client that has asked, and what becomes of its conversation.
    async fn asked(
        app: axum::Router,
        limits: Limits,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (mut client, server) = tokio::io::duplex(4 * 1024);
        let peer = Peer(std::net::IpAddr::from([127, 0, 0, 1]));
        let conversation = tokio::spawn(async move { converse(server, (app, peer), limits, stop).await });
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("the server reads");
        (client, conversation)
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut() {
        let limits = Limits { stall: Duration::from_millis(50), grace: NEVER };
        let (client, conversation) = asked(endless(true), limits, std::future::pending()).await;
        tokio::time::timeout(Duration::from_secs(30), conversation).await.expect("it was cut").expect("no panic");
        drop(client);
    }

    #[tokio::test]
    async fn an_answer_without_end_does_not_hold_up_a_stop() {
        let limits = Limits { stall: NEVER, grace: Duration::from_millis(50) };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (mut client, conversation) = asked(endless(false), limits, async { drop(stopped.await) }).await;
        client.read_exact(&mut [0; 512]).await.expect("the answer begins");
        stop.send(()).expect("the conversation goes on");
        tokio::time::timeout(Duration::from_secs(30), conversation).await.expect("it ended").expect("no panic");
    }
}
