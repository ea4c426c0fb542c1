//! What stands before every call: who may ask, how large a request may be, and how long it may take.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;

use crate::access::Access;
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

/// Refuses whoever may not ask, then answers within a bound.
pub(crate) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    if let Err(refusal) = access.check(request.method(), request.uri().path(), request.headers()) {
        return refusal.into_response();
    }
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
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
