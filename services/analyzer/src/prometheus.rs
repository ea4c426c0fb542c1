//! The outside world: one question to Prometheus, bounded in time and size. Whatever goes wrong comes back as a word and a sentence,
//! because a verdict has to say why it has no numbers.

use std::error::Error as _;
use std::time::Duration;

use judge::Trouble;
use prometheus_http_query::response::{Data, InstantVector, RangeVector, Sample};
use prometheus_http_query::{Client, Error};
use reqwest::{Response, StatusCode};
use rollout::At;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

/// A question is given up after so long.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// What Prometheus itself may spend on it, so that it does not work for nobody.
const EVALUATION_MS: i64 = 25_000;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Questions that are on their way at once, over all rollouts: more would take turns in Prometheus too.
const CALLS_MAX: usize = 8;
/// Longest piece of a foreign message that is repeated, in characters.
const EXCERPT_CHARS: usize = 200;

/// A Prometheus that can be asked.
pub(crate) struct Prometheus {
    client: Client,
    tenant_label: Option<String>,
    calls: Semaphore,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) trouble: Trouble,
    /// The end of a sentence that begins with "prometheus".
    pub(crate) why: String,
}

impl Failed {
    pub(crate) fn source(why: impl Into<String>) -> Self {
        Self { trouble: Trouble::SourceFailed, why: why.into() }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self { trouble: Trouble::QueryRefused, why: why.into() }
    }
}

impl Prometheus {
    /// A client for the configured one: no redirects, no proxy.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn new(configured: &chassis::Prometheus) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            .build()
            .map_err(|cause| cause.to_string())?;
        let client = Client::from(client, configured.url.as_str()).map_err(|cause| cause.to_string())?;
        let tenant_label = configured.tenant_label.as_ref().map(|label| label.as_str().to_owned());
        Ok(Self { client, tenant_label, calls: Semaphore::new(CALLS_MAX) })
    }

    /// The label that is forced into every selector.
    pub(crate) fn tenant_label(&self) -> Option<&str> {
        self.tenant_label.as_deref()
    }

    /// Asks for the value of an expression at an instant.
    pub(crate) async fn ask(&self, query: &str, at: At) -> Result<Data, Failed> {
        let Ok(_turn) = self.calls.acquire().await else { return Err(Failed::source("can't be asked any more")) };
        let late = |_| Failed::source(format!("did not answer within {} s", CALL_LIMIT.as_secs()));
        tokio::time::timeout(CALL_LIMIT, self.asked(query, at)).await.map_err(late)?
    }

    async fn asked(&self, query: &str, at: At) -> Result<Data, Failed> {
        let question = self.client.query(query).timeout(EVALUATION_MS).query("time", seconds(at));
        let response = question.post_raw().await.map_err(|error| unanswered(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failed::source(format!("answered {}: redirects are not followed", status.as_u16())));
        }
        let is_about_the_query = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        if status != StatusCode::OK && !is_about_the_query {
            return Err(Failed::source(format!("answered {}", status.as_u16())));
        }
        let body = bounded(response).await?;
        let no_answer = || Failed::source(format!("answered {} with something that is no result", status.as_u16()));
        let answer: Answer<'_> = serde_json::from_slice(&body).map_err(|_| no_answer())?;
        match answer.data.filter(|_| answer.status == "success") {
            Some(outcome) => outcome.data().ok_or_else(no_answer),
            None => Err(Failed::refused(format!("refused the query: {}", excerpt(&answer.error.unwrap_or_default())))),
        }
    }
}

/// What Prometheus answers.
#[derive(Deserialize)]
struct Answer<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Outcome<'a>>,
    error: Option<String>,
}

/// Read in two steps, because a value that may be one of several kinds would be copied to find out which.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

impl Outcome<'_> {
    fn data(&self) -> Option<Data> {
        let text = self.result.get();
        match self.result_type.as_str() {
            "vector" => serde_json::from_str::<Vec<InstantVector>>(text).ok().map(Data::Vector),
            "matrix" => serde_json::from_str::<Vec<RangeVector>>(text).ok().map(Data::Matrix),
            "scalar" => serde_json::from_str::<Sample>(text).ok().map(Data::Scalar),
            _ => None,
        }
    }
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Failed::source("broke its answer off"))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Failed::source(format!("answered with more than {} MiB", BODY_BYTES_MAX / 1024 / 1024)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unanswered(error: &Error) -> Failed {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<reqwest::Error>());
    Failed::source(match cause {
        Some(cause) if cause.is_connect() => "can't be reached",
        Some(cause) if cause.is_timeout() => "did not answer in time",
        _ => "did not answer as HTTP does",
    })
}

fn seconds(at: At) -> String {
    format!("{}.{:03}", at.0.div_euclid(1_000), at.0.rem_euclid(1_000))
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).flat_map(char::escape_debug).collect()
}
