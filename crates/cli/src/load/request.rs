//! One request: what is sent, and what became of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::LoadPlan;
use super::report::Blame;

const VERSION_HEADER: &str = "x-model-version";
/// As much of a problem as is read to find its type.
const PROBLEM_BYTES_MAX: usize = 4_096;
const BODIES: [&str; 4] = [
    r#"{"text": "a great day, and the best coffee"}"#,
    r#"{"text": "the parcel came on a Tuesday"}"#,
    r#"{"text": "a terrible film with an awful ending"}"#,
    r#"{"text": "good food, bad service"}"#,
];

/// Sends requests over kept connections.
#[derive(Debug)]
pub(super) struct Asker {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    run: String,
    timeout: Duration,
}

/// What became of one request.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) sent_at: Instant,
    /// The head of the answer, if one came.
    pub(super) head: Option<Head>,
    /// From when it was due to the last byte, if that came.
    pub(super) latency: Option<Duration>,
    /// Whose failure and which one, if it failed.
    pub(super) failure: Option<(Blame, String)>,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) begun_at: Instant,
    pub(super) status: u16,
    pub(super) version: Option<String>,
    is_problem: bool,
}

impl Asker {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(plan.timeout));
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: plan.url.clone(),
            run: plan.run.clone(),
            timeout: plan.timeout,
        }
    }

    /// Asks on behalf of a session, for a request that was due at a given instant.
    pub(super) async fn ask(&self, session: u32, due: Instant) -> Outcome {
        let mut outcome = Outcome { sent_at: Instant::now(), head: None, latency: None, failure: None };
        let deadline = sleep(self.timeout);
        let response = tokio::select! {
            response = self.client.request(self.request(session)) => response,
            () = deadline => return outcome.failed(Blame::Us, "timeout before any answer"),
        };
        let response = match response {
            Ok(response) => response,
            Err(cause) => return outcome.failed(Blame::Us, word(&cause)),
        };
        let head = Head::of(&response);
        let left = self.timeout.saturating_sub(outcome.sent_at.elapsed());
        let beginning = timeout(left, read(response.into_body())).await;
        let failure = match &beginning {
            Ok(Ok(beginning)) => {
                outcome.latency = Some(due.elapsed());
                head.failure(beginning)
            }
            // No fault of the simulated models cuts an answer off after its head, so it is ours until shown otherwise.
            Ok(Err(_)) => Some((Blame::Us, "answer cut off".to_owned())),
            Err(_) if head.version.is_some() => Some((Blame::Model, "timeout within the answer".to_owned())),
            Err(_) => Some((Blame::Us, "timeout within the answer".to_owned())),
        };
        Outcome { head: Some(head), failure, ..outcome }
    }

    fn request(&self, session: u32) -> Request<Full<Bytes>> {
        let body = Bytes::from_static(BODIES[session as usize % BODIES.len()].as_bytes());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A run with bytes that no header may hold leaves its requests without a session.
        if let Ok(id) = HeaderValue::from_str(&format!("s-{}-{session}", self.run)) {
            request.headers_mut().insert("x-session-id", id);
        }
        request
    }
}

impl Outcome {
    fn failed(mut self, blame: Blame, word: &str) -> Self {
        self.failure = Some((blame, word.to_owned()));
        self
    }
}

impl Head {
    fn of(response: &Response<Incoming>) -> Self {
        let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self {
            begun_at: Instant::now(),
            status: response.status().as_u16(),
            version: text(VERSION_HEADER).map(str::to_owned),
            is_problem: text(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/problem+json")),
        }
    }

    fn failure(&self, body: &[u8]) -> Option<(Blame, String)> {
        let is_server_error = self.status >= 500;
        if is_server_error && self.version.is_some() {
            return Some((Blame::Model, self.status.to_string()));
        }
        let problem = if self.is_problem { problem_type(body) } else { None };
        match problem.filter(|problem| problem.contains("tidegate")) {
            Some(problem) => Some((Blame::Us, format!("{} {problem}", self.status))),
            None => is_server_error.then(|| (Blame::Us, self.status.to_string())),
        }
    }
}

/// Reads a whole body so that its connection can be used again, and keeps the beginning.
async fn read(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut beginning = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let left = PROBLEM_BYTES_MAX - beginning.len();
        if let Some(bytes) = frame.data_ref() {
            beginning.extend_from_slice(&bytes[..bytes.len().min(left)]);
        }
    }
    Ok(beginning)
}

fn problem_type(body: &[u8]) -> Option<String> {
    let problem: Value = serde_json::from_slice(body).ok()?;
    Some(problem.get("type")?.as_str()?.to_owned())
}

fn word(cause: &Error) -> &'static str {
    if cause.is_connect() { "connection refused" } else { "connection lost" }
}
