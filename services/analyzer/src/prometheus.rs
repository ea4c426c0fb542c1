//! The outside world: one question to Prometheus, bounded in time and size. Whatever goes wrong comes back as a word and a sentence,
//! because a verdict has to say why it has no numbers.

use std::time::Duration;

use bytes::Bytes;
use chassis::PrometheusUrl;
use chassis::outbound::{End, Limits, Reply, Unanswered};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use judge::Trouble;
use prometheus_http_query::response::{Data, InstantVector, RangeVector, Sample};
use rollout::At;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

/// A question is given up after so long.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// What Prometheus itself may spend on it, so that it does not work for nobody.
const EVALUATION: &str = "25s";
/// Largest answer.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Questions that are on their way at once, over all rollouts: more would take turns in Prometheus too.
const CALLS_MAX: usize = 8;
/// Longest piece of a foreign message that is repeated, in characters.
const EXCERPT_CHARS: usize = 200;

/// A Prometheus that can be asked.
pub(crate) struct Prometheus {
    url: PrometheusUrl,
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
    /// The configured one.
    pub(crate) fn new(configured: &chassis::Prometheus) -> Self {
        let tenant_label = configured.tenant_label.as_ref().map(|label| label.as_str().to_owned());
        Self { url: configured.url.clone(), tenant_label, calls: Semaphore::new(CALLS_MAX) }
    }

    /// The label that is forced into every selector.
    pub(crate) fn tenant_label(&self) -> Option<&str> {
        self.tenant_label.as_deref()
    }

    /// Asks for the value of an expression at an instant.
    pub(crate) async fn ask(&self, query: &str, at: At) -> Result<Data, Failed> {
        let Ok(_turn) = self.calls.acquire().await else { return Err(Failed::source("can't be asked any more")) };
        let limits = Limits { time: CALL_LIMIT, bytes: BODY_BYTES_MAX };
        // Which addresses it has is the operator's word, not a policy's.
        let reply = self.url.place.exchange(self.question(query, at)?, limits, |_| Ok(())).await;
        read(reply.map_err(unanswered)?)
    }

    fn question(&self, query: &str, at: At) -> Result<Request<Full<Bytes>>, Failed> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("time", &seconds(at))
            .append_pair("timeout", EVALUATION)
            .finish();
        Request::post(format!("{}/api/v1/query", self.url.path))
            .header(HOST, self.url.place.authority())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
            .map_err(|_| Failed::source("can't be asked at this address"))
    }
}

fn read(Reply { head, body, end }: Reply) -> Result<Data, Failed> {
    let status = head.status;
    if status.is_redirection() {
        return Err(Failed::source(format!("answered {}: redirects are not followed", status.as_u16())));
    }
    let is_about_the_query = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
    if status != StatusCode::OK && !is_about_the_query {
        return Err(Failed::source(format!("answered {}", status.as_u16())));
    }
    match end {
        End::Whole => {}
        End::TooLong => {
            return Err(Failed::source(format!("answered with more than {} MiB", BODY_BYTES_MAX / 1024 / 1024)));
        }
        End::Broken => return Err(Failed::source("broke its answer off")),
    }
    let no_answer = || Failed::source(format!("answered {} with something that is no result", status.as_u16()));
    let answer: Answer<'_> = serde_json::from_slice(&body).map_err(|_| no_answer())?;
    match answer.data.filter(|_| answer.status == "success") {
        Some(outcome) => outcome.data().ok_or_else(no_answer),
        None => Err(Failed::refused(format!("refused the query: {}", excerpt(&answer.error.unwrap_or_default())))),
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

fn unanswered(unanswered: Unanswered) -> Failed {
    Failed::source(match unanswered {
        Unanswered::NotSent(why) => format!("can't be reached: {}", excerpt(&why)),
        Unanswered::Unsure(why) => format!("did not answer: {}", excerpt(&why)),
    })
}

fn seconds(at: At) -> String {
    format!("{}.{:03}", at.0.div_euclid(1_000), at.0.rem_euclid(1_000))
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).flat_map(char::escape_debug).collect()
}
