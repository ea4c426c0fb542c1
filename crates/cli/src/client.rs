//! The HTTP API as typed calls: the one place that connects to a server.
//!
//! Each call has a timeout, each write its own `Idempotency-Key`, and every failure is one line for a person ([`Error`]).
//! Nothing but a broken connection is tried again here: whoever waits knows how long.

use std::time::Duration;

use proto::http::{Page, Problem};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

mod calls;
mod error;

pub(crate) use error::Error;

/// A server on this network answers a connection at once, or is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// The server itself waits up to 2 s for the outcome of a write.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The server closes a connection that was silent for 5 s; one that is about to be closed is better not used.
const IDLE_LIMIT: Duration = Duration::from_secs(3);
/// Pages that one listing follows; more is a server that never ends.
const PAGES_MAX: usize = 100;
/// Items asked for at once.
const PAGE_ITEMS: usize = 100;

/// Speaks to one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written<T> {
    /// 201: it is there now.
    Made(T),
    /// 200: it was there already, or was changed.
    There(T),
    /// 202: the server has taken it, and its outcome was not known yet.
    OnItsWay,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:7070`.
    pub(crate) fn new(base: &str, key: Option<String>) -> Self {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT).timeout(ANSWER_LIMIT);
        let http = http.pool_idle_timeout(IDLE_LIMIT).build();
        let http = http.expect("a client without TLS has nothing that can fail");
        Self { http, base: base.trim_end_matches('/').to_owned(), key }
    }

    /// Where the server is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let (_, body) = self.send(self.request(Method::GET, path)).await?;
        self.read(path, &body)
    }

    async fn write<T: DeserializeOwned>(&self, request: RequestBuilder, path: &str) -> Result<Written<T>, Error> {
        let (status, body) = self.send_write(request).await?;
        Ok(match status {
            StatusCode::ACCEPTED => Written::OnItsWay,
            StatusCode::CREATED => Written::Made(self.read(path, &body)?),
            _ => Written::There(self.read(path, &body)?),
        })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Written<T>, Error> {
        self.write(self.request(Method::POST, path).json(body), path).await
    }

    /// Every item of a listing, at most `items_max`.
    async fn list<T: DeserializeOwned>(&self, path: &str, items_max: usize) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX.max(items_max / PAGE_ITEMS) {
            let limit = PAGE_ITEMS.min(items_max - items.len());
            let place = cursor.iter().map(|cursor| format!("&cursor={}", escaped(cursor))).collect::<String>();
            let page: Page<T> = self.get(&format!("{path}?limit={limit}{place}")).await?;
            items.extend(page.items.into_iter().take(limit));
            cursor = page.cursor;
            if cursor.is_none() || items.len() >= items_max {
                break;
            }
        }
        Ok(items)
    }

    async fn send_write(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Error> {
        self.send(request.header("idempotency-key", Uuid::new_v4().to_string())).await
    }

    /// Sends a request, once more if the connection broke: the server may just have closed the one that was kept. Saying
    /// it twice is safe, for a write carries the same key both times.
    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Error> {
        let again = request.try_clone();
        let answer = match (answer(request).await, again) {
            (Err(cause), Some(again)) if !cause.is_connect() && !cause.is_timeout() => answer(again).await,
            (answer, _) => answer,
        };
        let (status, body) = answer.map_err(|cause| Error::unreachable(&self.base, &cause))?;
        if status.is_success() {
            return Ok((status, body));
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Error::Refused(Box::new(problem)),
            Err(_) => Error::strange(&self.base, status, &body),
        })
    }

    fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body)
            .map_err(|cause| Error::Unreadable { url: format!("{}{path}", self.base), cause: cause.to_string() })
    }
}

async fn answer(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
    let response = request.send().await?;
    let status = response.status();
    Ok((status, response.bytes().await?.to_vec()))
}

/// A text as one segment of a path, or one value of a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
