//! Errors as RFC 9457 problem documents: what was asked, what stopped it, what to try.

mod plain;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::http::Problem;
use rollout::RolloutId;

pub(crate) use plain::{Bare, in_our_words};

/// A request that is not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    word: &'static str,
    detail: String,
    field: Option<String>,
    rollout_id: Option<RolloutId>,
}

/// The result of a request.
pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    fn new(status: StatusCode, word: &'static str, detail: impl Into<String>) -> Self {
        Self { status, word, detail: detail.into(), field: None, rollout_id: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(crate) fn forbidden(word: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, word, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn conflict(word: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, word, detail)
    }

    pub(crate) fn stale(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "moved_since", detail)
    }

    pub(crate) fn unprocessable(word: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, word, detail)
    }

    pub(crate) fn too_many(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    pub(crate) fn too_large_url(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "too-large", detail)
    }

    pub(crate) fn too_large_head(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too-large", detail)
    }

    pub(crate) fn too_slow(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// What it is answered with.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What was asked, what stopped it, what to try.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Its field stands in something larger.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.field = self.field.map(|field| format!("{place}{field}"));
        self
    }

    pub(crate) fn rollout(mut self, id: &RolloutId) -> Self {
        self.rollout_id = Some(id.clone());
        self
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        if error.is_full() {
            tracing::error!("the disk of the database is full: {error:#}");
            return Self::unavailable("the disk of the database is full; nothing was changed, make room and try again");
        }
        tracing::warn!("the database did not answer a request: {error:#}");
        Self::unavailable("the database does not answer; nothing was changed, try again")
    }
}

impl From<chassis::Error> for Refusal {
    fn from(error: chassis::Error) -> Self {
        match error {
            chassis::Error::Store(error) => error.into(),
            error => {
                tracing::warn!("the bus did not answer a request: {error}");
                Self::unavailable("the bus does not answer; try again")
            }
        }
    }
}

impl Refusal {
    fn document(self) -> Problem {
        let title = self.status.canonical_reason().unwrap_or("Error").to_owned();
        Problem {
            kind: format!("urn:tidegate:problem:{}", self.word.replace('_', "-")),
            error: (self.status == StatusCode::UNAUTHORIZED).then(|| title.clone()),
            title,
            status: self.status.as_u16(),
            detail: self.detail,
            field: self.field,
            rollout_id: self.rollout_id,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut answer = (status, Json(self.document())).into_response();
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if status == StatusCode::UNAUTHORIZED {
            // A browser asks for it then.
            let how = HeaderValue::from_static(r#"Basic realm="tidegate", charset="UTF-8""#);
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        answer
    }
}

pub(crate) async fn no_such_path() -> Refusal {
    Refusal::not_found("there is nothing at this path; the API begins at /v1")
}

pub(crate) async fn no_such_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path does not take this method")
}

/// Parses a name that stands in a path or a body.
pub(crate) fn name<T: std::str::FromStr<Err = rollout::BadName>>(field: &str, text: &str) -> Answer<T> {
    text.parse().map_err(|bad: rollout::BadName| Refusal::unprocessable("bad_name", bad.to_string()).field(field))
}

/// Refuses a text that would not fit into a message.
pub(crate) fn bounded(field: &str, text: Option<&str>, bytes_max: usize) -> Answer<()> {
    match text {
        Some(text) if text.len() > bytes_max => {
            Err(Refusal::unprocessable("too_long", format!("{field} is longer than {bytes_max} bytes")).field(field))
        }
        _ => Ok(()),
    }
}

/// Reads a body, naming the field that is wrong.
pub(crate) fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    proto::http::read(bytes).map_err(|(detail, field)| {
        let refusal = Refusal::unprocessable("bad_body", detail);
        match field {
            Some(field) => refusal.field(field),
            None => refusal,
        }
    })
}
