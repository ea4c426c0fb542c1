//! Answers as they go out: JSON, plain text or a stream of events.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer of the simulator.
pub(crate) type Reply = Response<Body>;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    text(status, "application/json", value.to_string())
}

/// A JSON answer that says what was wrong, and with which field if it was one.
pub(crate) fn refusal(status: StatusCode, field: Option<&str>, error: &str) -> Reply {
    let body = match field {
        Some(field) => json!({ "error": error, "field": field }),
        None => json!({ "error": error }),
    };
    json(status, &body)
}

/// An answer of a given content type.
pub(crate) fn text(status: StatusCode, content_type: &'static str, text: String) -> Reply {
    with_body(status, content_type, Full::new(Bytes::from(text)).boxed_unsync())
}

/// An answer with any body.
pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Adds the declared observations, which the router counts and removes.
pub(crate) fn observed(mut reply: Reply, observations: &str) -> Reply {
    let value = HeaderValue::from_str(observations).expect("observations are plain ASCII");
    reply.headers_mut().insert("x-tidegate-observe", value);
    reply
}
