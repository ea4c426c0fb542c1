//! The listener: who may connect, how long a request may take, and a stop that finishes what is in hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use chassis::Core;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{guard, routes};

/// Largest body but for policies, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A client has this long for its headers, and as long between two requests: hyper has one clock for both, and a shorter one
/// would cut connections that clients think they can use again.
const HEADER_LIMIT: Duration = Duration::from_secs(75);
/// Open connections at once: enough for people and scripts, few enough for the file descriptors.
const CONNECTIONS_MAX: usize = 1_024;

/// Listens on `address` and serves the API until the process stops; gives the address that it got.
///
/// # Errors
/// One sentence when the address is not a loopback address, or can't be used.
pub async fn listen(core: &Core, address: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        bail!(
            "can't listen on {address}: without a key the API serves this machine alone; use 127.0.0.1:{}",
            address.port()
        );
    }
    let listener = TcpListener::bind(address).await.map_err(|cause| unheard(address, &cause))?;
    let bound = listener.local_addr()?;
    let layers = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(from_fn(guard::guard))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
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
            Ok((stream, _)) => {
                let (stop, app) = (core.stop.clone(), app.clone());
                core.tasks.spawn(async move {
                    converse(stream, app, stop.cancelled_owned()).await;
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

async fn converse(stream: TcpStream, app: axum::Router, stop: impl Future<Output = ()>) {
    // Requests are small: without this the last bytes of an answer wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
