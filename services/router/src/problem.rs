//! Answers of our own, as problem documents (RFC 9457). Their type names us, so that nobody takes them for the model's.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::body::Answer;

/// Why we answer ourselves.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// The last part of the problem's type.
    name: &'static str,
    detail: String,
}

impl Refusal {
    pub(crate) fn bad_request(detail: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, name: "bad-request", detail: detail.to_owned() }
    }

    pub(crate) fn head_too_large(bytes_max: usize) -> Self {
        let detail = format!("the target and the headers have more than {bytes_max} bytes");
        Self { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, name: "head-too-large", detail }
    }

    pub(crate) fn no_route(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self {
            status: StatusCode::NOT_FOUND,
            name: "no-route",
            detail: format!("no model is served at `{path}`; look at the match of your model"),
        }
    }

    pub(crate) fn unreachable(version: &str) -> Self {
        let detail = format!("version {version} could not be connected to; look at its upstream");
        Self { status: StatusCode::BAD_GATEWAY, name: "upstream-unreachable", detail }
    }

    pub(crate) fn broken(version: &str) -> Self {
        let detail = format!("version {version} closed the connection or gave an answer that is not HTTP");
        Self { status: StatusCode::BAD_GATEWAY, name: "upstream-broken", detail }
    }

    pub(crate) fn timed_out(version: &str, seconds: f64) -> Self {
        let detail = format!("version {version} did not begin to answer within {seconds} s");
        Self { status: StatusCode::GATEWAY_TIMEOUT, name: "upstream-timeout", detail }
    }

    pub(crate) fn cut_upload() -> Self {
        let detail = "the body of the request stopped before its end".to_owned();
        Self { status: StatusCode::REQUEST_TIMEOUT, name: "request-cut", detail }
    }

    pub(crate) fn answer(&self) -> Response<Answer> {
        let document = serde_json::json!({
            "type": format!("urn:tidegate:problem:{}", self.name),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Answer::Ours(Full::new(Bytes::from(document.to_string()))));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
