//! One probe of a candidate's servers: health, version, smoke test.

use std::time::Duration;

use proto::WorkloadStart;
use reqwest::{Client, Method, RequestBuilder};
use rollout::{Health, Smoke};
use serde_json::Value;

/// A health check takes no longer.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// A smoke test is a real request to a model, which may think.
const SMOKE_LIMIT: Duration = Duration::from_secs(30);
/// No answer of interest is larger.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends the probes that `start` asks for; the error is the reason for people.
pub(crate) async fn probe(client: &Client, start: &WorkloadStart) -> Result<(), String> {
    if let Health::At { path } = &start.workload.health {
        healthy(client, start, path).await?;
    }
    match &start.smoke {
        Some(smoke) => smoke_test(client, start, smoke).await,
        None => Ok(()),
    }
}

async fn healthy(client: &Client, start: &WorkloadStart, path: &str) -> Result<(), String> {
    let url = joined(&start.workload.upstream, path);
    let (status, body) = answer(with_headers(client.get(&url), start).timeout(HEALTH_LIMIT), &url).await?;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if body.get("model_loaded") == Some(&Value::Bool(false)) {
        return Err(format!("{url}: model_loaded is false (status {status})"));
    }
    if !(200..300).contains(&status) {
        return Err(format!("{url} answered {status}"));
    }
    let version =
        body.get("version").map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned));
    match version {
        Some(version) if version != start.version.as_str() => {
            Err(format!("{url}: version is {version}, not {}", start.version))
        }
        _ => Ok(()),
    }
}

async fn smoke_test(client: &Client, start: &WorkloadStart, smoke: &Smoke) -> Result<(), String> {
    let url = joined(&start.workload.upstream, &smoke.path);
    let method = Method::from_bytes(smoke.method.as_bytes())
        .map_err(|_| format!("smoke: bad method {}", smoke.method.escape_default()))?;
    let request = with_headers(client.request(method, &url), start).timeout(SMOKE_LIMIT);
    let request = match &smoke.body {
        None => request,
        Some(Value::String(text)) => request.body(text.clone()),
        Some(body) => request.json(body),
    };
    let (status, body) = answer(request, &url).await?;
    let expected = smoke.status.map_or_else(|| (200..300).contains(&status), |wanted| wanted == status);
    if !expected {
        return Err(format!("smoke test {url} answered {status}"));
    }
    match &smoke.contains {
        Some(text) if !String::from_utf8_lossy(&body).contains(text.as_str()) => {
            Err(format!("smoke test {url}: the answer does not contain `{}`", text.escape_default()))
        }
        _ => Ok(()),
    }
}

fn joined(upstream: &str, path: &str) -> String {
    format!("{}/{}", upstream.trim_end_matches('/'), path.trim_start_matches('/'))
}

fn with_headers(request: RequestBuilder, start: &WorkloadStart) -> RequestBuilder {
    start.workload.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// The status and the first bytes of the answer.
async fn answer(request: RequestBuilder, url: &str) -> Result<(u16, Vec<u8>), String> {
    let failed = |error: &reqwest::Error| format!("{url}: {}", said(error));
    let mut answer = request.send().await.map_err(|error| failed(&error))?;
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match answer.chunk().await.map_err(|error| failed(&error))? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(ANSWER_BYTES_MAX);
    Ok((answer.status().as_u16(), body))
}

/// The innermost cause, which names what happened and not our address once more.
fn said(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
