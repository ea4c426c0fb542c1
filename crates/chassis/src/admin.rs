//! The admin pages of a process: alive, ready, metrics.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::core::Core;

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

/// Yes or no, and nothing else: this page needs no key. The log says why not.
async fn readiness(core: &Core) -> StatusCode {
    if core.is_ready().await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(core: &Core) -> ([(header::HeaderName, &'static str); 1], String) {
    let page = core.metrics.page(&core.store, &core.bus, core.clock.now()).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
}

/// Serves the admin pages of a process that has no other listener.
///
/// # Errors
/// One sentence when the address can't be used.
pub async fn listen(core: &Core, address: SocketAddr) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(address).await.map_err(|cause| anyhow::anyhow!("can't listen on {address}: {cause}"))?;
    let (app, stop) = (pages(core), core.stop.clone());
    core.tasks.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok(())
}
