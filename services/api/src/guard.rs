//! Who may ask without a key: programs on this machine, and no page of another site through a browser on it.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Refusal;

/// A whole request takes no longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Refuses what a browser was led here for, then answers within a bound.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let host = header_text(request.headers(), header::HOST);
    if !host.as_deref().is_some_and(is_ours) {
        // A name that somebody else's DNS points at us would make their pages ours.
        return Refusal::forbidden(
            "host_not_ours",
            "the Host header names another machine; use 127.0.0.1 or localhost",
        )
        .into_response();
    }
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if writes && is_cross_site(request.headers()) {
        return Refusal::forbidden("cross_site", "a page of another site can't write here").into_response();
    }
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Refusal::unavailable("the request took longer than 30 s").into_response(),
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_ascii_lowercase)
}

/// `localhost`, or a loopback address, with or without a port.
fn is_ours(host: &str) -> bool {
    let without_port = if host.starts_with('[') {
        host.split_once(']').map_or(host, |(name, _)| name)
    } else {
        host.split(':').next().unwrap_or(host)
    };
    let name = without_port.trim_start_matches('[');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a browser says that another site's page sent this.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let fetched_from = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if fetched_from.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = header_text(headers, header::ORIGIN) else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    Some(host) != header_text(headers, header::HOST).as_deref()
}
