//! Who may ask without a key: programs on this machine, and no page of another site through a browser on it.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;

use crate::problem::{Answer, Refusal, in_our_words};
use crate::routers::STATE_BYTES_MAX;

/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest policy as it is sent: its comments go no further than here.
pub(crate) const POLICY_BYTES_MAX: usize = 256 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Largest headers of a request, names and values, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest path with its query, in bytes.
const URL_BYTES_MAX: usize = 4 * 1024;
/// A client has this long for its body.
const BODY_LIMIT: Duration = Duration::from_secs(10);
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
    if let Err(refusal) = is_small(&request) {
        return refusal.into_response();
    }
    let answered = async {
        let request = if writes { with_body(request).await? } else { request };
        let is_probe = !writes && request.uri().path() == "/readyz";
        let answer = next.run(request).await;
        // Yes or no, and nothing else.
        Ok::<_, Refusal>(if is_probe { answer } else { in_our_words(answer).await })
    };
    match tokio::time::timeout(REQUEST_LIMIT, answered).await {
        Ok(answer) => answer.unwrap_or_else(Refusal::into_response),
        Err(_) => Refusal::unavailable("the request took longer than 30 s").into_response(),
    }
}

/// Refuses a request whose head is larger than any that means well.
fn is_small(request: &Request) -> Answer<()> {
    let url = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if url > URL_BYTES_MAX {
        return Err(Refusal::too_large_url(format!("the URL has {url} bytes, more than {URL_BYTES_MAX}")));
    }
    let (count, bytes) = request
        .headers()
        .iter()
        .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.as_str().len() + value.len()));
    if count > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Refusal::too_large_head(format!(
            "{count} headers of {bytes} bytes; at most {HEADERS_MAX} of {HEADER_BYTES_MAX} bytes are taken"
        )));
    }
    Ok(())
}

/// The request with its body in hand: within its size, and within its time.
async fn with_body(request: Request) -> Answer<Request> {
    let (parts, body) = request.into_parts();
    let bytes_max = match parts.uri.path() {
        path if path.starts_with("/v1/policies/") => POLICY_BYTES_MAX,
        path if path.starts_with("/internal/routers/") => STATE_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    };
    let read = tokio::time::timeout(BODY_LIMIT, to_bytes(body, bytes_max)).await;
    let read = read.map_err(|_| Refusal::too_slow("the body took longer than 10 s"))?;
    let bytes = read.map_err(|cause| {
        let is_large =
            std::error::Error::source(&cause).and_then(|cause| cause.downcast_ref::<LengthLimitError>()).is_some();
        if is_large {
            Refusal::too_large(format!("the body is larger than {bytes_max} bytes"))
        } else {
            Refusal::bad_request("the body broke off")
        }
    })?;
    Ok(Request::from_parts(parts, bytes.into()))
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
