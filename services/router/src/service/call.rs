//! One request to the control plane, and every way in which it can fail as one sentence.

use std::error::Error as _;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chassis::Secret;
use proto::http::Problem;
use proto::internal::{BEAT, NewSample, RouteTable, RouterState};
use reqwest::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use rollout::RouterName;
use serde::de::DeserializeOwned;

/// A control plane answers a connection at once, or is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A word of this router takes no longer.
const SAY_LIMIT: Duration = Duration::from_secs(3);
/// Routes are asked for again after this long without a change (RELIABILITY 3.4).
const WAIT_SECONDS: u64 = 10;
/// And their answer takes this much longer at most.
const ANSWER_LIMIT: Duration = Duration::from_secs(WAIT_SECONDS + 5);
/// The control plane closes a connection that was silent for 75 s.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Ten thousand routes with many arms.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// As much of an unexpected body as is shown.
const EXCERPT_CHARS: usize = 120;

/// Where a control plane is: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|cause| format!("{cause}; write a URL such as http://127.0.0.1:7070"))?;
        if url.scheme() != "http" {
            return Err(format!("`{}` is not spoken here; write a URL such as http://127.0.0.1:7070", url.scheme()));
        }
        let is_bare =
            url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !is_bare || url.password().is_some() {
            return Err("it has more than a host and a port; write a URL such as http://127.0.0.1:7070".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// There was no answer.
    #[error("can't reach the control plane at {address}: {cause}")]
    Unreachable { address: Address, cause: String },
    /// The control plane says no, and why.
    #[error("the control plane at {address} refuses: {}", problem.detail)]
    Refused { address: Address, problem: Box<Problem> },
    /// Something else answered, or another release.
    #[error("{address} does not answer as a control plane of this release does ({status}): {what}")]
    Strange { address: Address, status: StatusCode, what: String },
}

impl Failed {
    /// Whether it is the refusal with this word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.kind.rsplit(':').next() == Some(word))
    }
}

/// A control plane as this router sees it.
#[derive(Debug)]
pub(super) struct Server {
    http: Client,
    address: Address,
}

impl Server {
    /// Where the control plane is, and the key that it wants to see, if it wants one.
    pub(super) fn new(address: Address, key: Option<&Secret>) -> Self {
        let shown = key.and_then(|key| HeaderValue::from_str(key.expose()).ok()).map(|mut key| {
            key.set_sensitive(true);
            (HeaderName::from_static("x-api-key"), key)
        });
        let http = Client::builder().connect_timeout(CONNECT_LIMIT).pool_idle_timeout(IDLE_LIMIT);
        let http = http.default_headers(shown.into_iter().collect());
        let http = http.no_proxy().redirect(redirect::Policy::none()).build();
        Self { http: http.expect("a client without TLS has nothing that can fail"), address }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Says what the router is and has on its disk; gives the last beat of the control part.
    pub(super) async fn introduce(&self, name: &RouterName, state: &RouterState) -> Result<Option<String>, Failed> {
        let request = self.http.put(format!("{}/internal/routers/{name}", self.address)).json(state);
        let answer = self.say(request).await?;
        Ok(answer.headers().get(BEAT).and_then(|beat| beat.to_str().ok()).map(str::to_owned))
    }

    /// Sends what was counted.
    pub(super) async fn sample(&self, name: &RouterName, sample: &NewSample) -> Result<(), Failed> {
        let request = self.http.post(format!("{}/internal/routers/{name}/samples", self.address)).json(sample);
        self.say(request).await.map(drop)
    }

    /// The routes with their tag, as soon as they are others than those with the tag `known`; none when they stay as they are.
    /// Whoever is known on the bus need not say here who asks, and is answered at once.
    pub(super) async fn routes(
        &self,
        asks: Option<(&RouterName, &str)>,
        known: Option<&str>,
    ) -> Result<Option<(String, RouteTable)>, Failed> {
        let asks = asks.map(|(name, boot)| format!("?router={name}&boot={boot}&wait={WAIT_SECONDS}s"));
        let url = format!("{}/internal/routes{}", self.address, asks.unwrap_or_default());
        let request = self.http.get(url).timeout(ANSWER_LIMIT);
        let request = match known {
            Some(tag) => request.header(IF_NONE_MATCH, tag),
            None => request,
        };
        let answer = self.answer(request).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        self.read(answer).await.map(|table| Some((tag, table)))
    }

    /// What is said is answered with 204, and by nothing else that happens to listen there.
    async fn say(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let answer = self.answer(request.timeout(SAY_LIMIT)).await?;
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(answer);
        }
        Err(self.strange(status, &excerpt(&self.body(answer).await?)))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let answer = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let body = self.body(answer).await?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Failed::Refused { address: self.address.clone(), problem: Box::new(problem) },
            Err(_) => self.strange(status, &excerpt(&body)),
        })
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Failed> {
        let status = answer.status();
        let body = self.body(answer).await?;
        serde_json::from_slice(&body).map_err(|cause| self.strange(status, &format!("{cause} in {}", excerpt(&body))))
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Failed> {
        let (mut body, status) = (Vec::new(), answer.status());
        while let Some(chunk) = answer.chunk().await.map_err(|cause| self.unreachable(&cause))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.strange(status, "the answer has no end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn strange(&self, status: StatusCode, what: &str) -> Failed {
        Failed::Strange { address: self.address.clone(), status, what: what.to_owned() }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        // The last cause is the one that tells.
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let root = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        let cause = if error.is_timeout() { "no answer in time".to_owned() } else { root };
        Failed::Unreachable { address: self.address.clone(), cause }
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "an empty body".to_owned() } else { line.chars().take(EXCERPT_CHARS).collect() }
}
