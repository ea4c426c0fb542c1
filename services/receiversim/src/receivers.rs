//! One HTTP server that is all receivers, and what it heard.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{pagerduty, slack};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Incoming webhooks at `/services/…`, the web API at `/api/…`.
    Slack,
    /// `/v2/enqueue` and `/v2/change/enqueue`.
    PagerDuty,
    /// Every other path.
    Webhook,
}

/// How one of them behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes what is good.
    Well,
    /// Answers that status, and how many seconds to wait, so many times; then it is well.
    Answers {
        /// The status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<u32>,
        /// How often.
        times: u32,
    },
    /// Takes what is good and never says so.
    Hangs,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Where.
    pub path: String,
    /// Headers that are texts.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub text: String,
    /// The body as JSON.
    pub body: Value,
    /// What the real one would have against it.
    pub problems: Vec<String>,
    /// What was answered; none for what hangs.
    pub status: Option<u16>,
}

#[derive(Default)]
struct Memory {
    moods: BTreeMap<Place, Mood>,
    heard: Vec<(Place, Heard)>,
    /// Messages of the web API: `ts` by number.
    messages: u32,
}

/// The receivers of one test or demo.
pub struct Receivers {
    /// Where they are.
    pub url: String,
    /// The same without the scheme.
    pub address: String,
    /// The port alone.
    pub port: u16,
    memory: Arc<Mutex<Memory>>,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for Receivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receivers").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receivers {
    /// Starts them on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts them on this address, for whoever is on another machine or in a container.
    ///
    /// # Errors
    /// When it can't be used.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let address = bound.to_string();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let app = Router::new().fallback(receive).with_state(Arc::clone(&memory));
        let serving = tokio::spawn(async move {
            // The listener ends with the task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url: format!("http://{address}"), address, port: bound.port(), memory, serving })
    }

    /// Changes how one of them behaves from now on.
    pub fn turn(&self, place: Place, mood: Mood) {
        lock(&self.memory).moods.insert(place, mood);
    }

    /// What one of them heard, in order.
    #[must_use]
    pub fn heard(&self, place: Place) -> Vec<Heard> {
        lock(&self.memory).heard.iter().filter(|(at, _)| *at == place).map(|(_, heard)| heard.clone()).collect()
    }

    /// What one of them took.
    #[must_use]
    pub fn taken(&self, place: Place) -> Vec<Heard> {
        self.heard(place).into_iter().filter(|heard| heard.status.is_some_and(|status| status < 300)).collect()
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().expect("no holder of the memory panics")
}

async fn receive(State(memory): State<Arc<Mutex<Memory>>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    let answer = remember(&mut lock(&memory), &uri, &headers, &bytes);
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

/// Checks a request, remembers it, and gives the answer, if there is to be one.
fn remember(memory: &mut Memory, uri: &Uri, headers: &HeaderMap, bytes: &[u8]) -> Option<Response> {
    let path = uri.path().to_owned();
    let place = match path.as_str() {
        path if path.starts_with("/services/") || path.starts_with("/api/") => Place::Slack,
        path if path.starts_with("/v2/") => Place::PagerDuty,
        _ => Place::Webhook,
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let named = |name: &header::HeaderName| headers[name].to_str().map_or_else(|_| String::new(), str::to_owned);
    let headers: BTreeMap<_, _> = headers.keys().map(|name| (name.to_string(), named(name))).collect();
    let problems = problems(memory, place, &path, (&headers, &body));
    let answer = match memory.moods.get(&place).copied().unwrap_or(Mood::Well) {
        Mood::Hangs => None,
        Mood::Answers { status, retry_after, times } if times > 0 => {
            memory.moods.insert(place, Mood::Answers { status, retry_after, times: times - 1 });
            Some(failed(status, retry_after))
        }
        _ => Some(answered(memory, &path, &body, &problems)),
    };
    let status = answer.as_ref().map(|answer| answer.status().as_u16());
    memory.heard.push((place, Heard { at: Instant::now(), path, headers, text, body, problems, status }));
    answer
}

fn problems(
    memory: &Memory,
    place: Place,
    path: &str,
    (headers, body): (&BTreeMap<String, String>, &Value),
) -> Vec<String> {
    let mut problems = match (place, path) {
        (Place::Slack, _) => slack::message(body),
        (Place::PagerDuty, "/v2/enqueue") => pagerduty::alert(body),
        (Place::PagerDuty, "/v2/change/enqueue") => pagerduty::change(body),
        (Place::PagerDuty, _) => vec!["no such path".to_owned()],
        (Place::Webhook, _) => {
            if body.is_object() {
                Vec::new()
            } else {
                vec!["no JSON".to_owned()]
            }
        }
    };
    if !headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        problems.push("the content type is not JSON".to_owned());
    }
    if path.starts_with("/api/") {
        if !headers.get("authorization").is_some_and(|token| token.starts_with("Bearer ")) {
            problems.push("not_authed".to_owned());
        }
        if body["channel"].as_str().is_none_or(str::is_empty) {
            problems.push("channel_not_found".to_owned());
        }
        let is_known = |ts: &str| (1..=memory.messages).any(|number| ts == stamp(number));
        if path == "/api/chat.update" && !body["ts"].as_str().is_some_and(is_known) {
            problems.push("message_not_found".to_owned());
        }
    }
    problems
}

fn stamp(number: u32) -> String {
    format!("1700000000.{number:06}")
}

/// The answer of one that is well.
fn answered(memory: &mut Memory, path: &str, body: &Value, problems: &[String]) -> Response {
    if path.starts_with("/api/") {
        // The web API says what is wrong with the status 200.
        if let Some(problem) = problems.first() {
            return json(200, &json!({ "ok": false, "error": problem }));
        }
        let ts = if path == "/api/chat.postMessage" {
            memory.messages += 1;
            json!(stamp(memory.messages))
        } else {
            body["ts"].clone()
        };
        return json(200, &json!({ "ok": true, "channel": body["channel"], "ts": ts }));
    }
    if !problems.is_empty() {
        return json(400, &json!({ "status": "invalid event", "errors": problems }));
    }
    if path.starts_with("/services/") {
        return (StatusCode::OK, "ok").into_response();
    }
    json(202, &json!({ "status": "success", "message": "Event processed", "dedup_key": body["dedup_key"] }))
}

fn json(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn failed(status: u16, retry_after: Option<u32>) -> Response {
    let mut answer = json(status, &json!({ "error": "turned to fail" }));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}
