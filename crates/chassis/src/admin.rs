//! The admin pages of a process: alive, ready, metrics.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::Core;
use crate::metrics::process;

/// `/livez`, `/readyz` and `/metrics`.
pub fn pages(core: &Core) -> Router {
    let (ready, counted) = (core.clone(), core.clone());
    Router::new()
        .route("/livez", get(|| async { StatusCode::OK }))
        .route(
            "/readyz",
            get(move || {
                let core = ready.clone();
                async move { readiness(&core).await }
            }),
        )
        .route(
            "/metrics",
            get(move || {
                let core = counted.clone();
                async move { metrics(&core).await }
            }),
        )
}

/// What a process without a database says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Says<R, M> {
    /// Whether it can be given work.
    pub is_ready: R,
    /// What it has counted, in the text format of Prometheus.
    pub metrics: M,
}

/// Serves the admin pages of a process without a database, until it stops; gives the address that it got.
///
/// # Errors
/// One sentence when the address can't be used.
pub async fn listen_alone<R, M>(
    address: SocketAddr,
    says: Says<R, M>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> anyhow::Result<SocketAddr>
where
    R: Fn() -> bool + Clone + Send + Sync + 'static,
    M: Fn() -> String + Clone + Send + Sync + 'static,
{
    let listener = bind(address).await?;
    let bound = listener.local_addr()?;
    let Says { is_ready, metrics } = says;
    let ready = move || std::future::ready(yes_or_no(is_ready()));
    let counted = move || std::future::ready(as_page(metrics() + &process::page()));
    let app = Router::new()
        .route("/livez", get(|| async { StatusCode::OK }))
        .route("/readyz", get(ready))
        .route("/metrics", get(counted));
    let stop = stop.clone();
    tasks.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok(bound)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|cause| anyhow::anyhow!("can't listen on {address}: {cause}"))
}

fn yes_or_no(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn as_page(text: String) -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Yes or no, and nothing else: this page needs no key. The log says why not.
async fn readiness(core: &Core) -> StatusCode {
    yes_or_no(core.is_ready().await)
}

async fn metrics(core: &Core) -> ([(header::HeaderName, &'static str); 1], String) {
    as_page(core.metrics.page(&core.store, &core.bus, core.clock.now()).await)
}

/// Serves the admin pages of a process that has no other listener.
///
/// # Errors
/// One sentence when the address can't be used.
pub async fn listen(core: &Core, address: SocketAddr) -> anyhow::Result<()> {
    let listener = bind(address).await?;
    let (app, stop) = (pages(core), core.stop.clone());
    core.tasks.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok(())
}
