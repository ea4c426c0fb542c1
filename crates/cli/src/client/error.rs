//! What can go wrong between us and the server, each as one line that says what to try.

use std::error::Error as _;

use proto::http::Problem;
use reqwest::StatusCode;

/// As much of an unexpected body as is shown.
const EXCERPT_CHARS: usize = 200;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There was no answer.
    #[error("can't reach tidegate at {url}: {cause}; is `tidegate up` running?")]
    Unreachable { url: String, cause: String },
    /// The server says no, and why.
    #[error("{}", sentence(.0))]
    Refused(Box<Problem>),
    /// Something else answered, or the server is broken.
    #[error("{url} answered {status} and not as tidegate does: {excerpt}")]
    Strange { url: String, status: StatusCode, excerpt: String },
    /// The answer is not what this program expects.
    #[error("can't read the answer of {url}: {cause}; is the server of another version than this program?")]
    Unreadable { url: String, cause: String },
}

impl Error {
    pub(super) fn unreachable(url: &str, cause: &reqwest::Error) -> Self {
        let cause = if cause.is_timeout() { "no answer in time".to_owned() } else { root(cause) };
        Self::Unreachable { url: url.to_owned(), cause }
    }

    pub(super) fn strange(url: &str, status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let excerpt =
            if line.is_empty() { "an empty body".to_owned() } else { line.chars().take(EXCERPT_CHARS).collect() };
        Self::Strange { url: url.to_owned(), status, excerpt }
    }

    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Strange { status, .. } => Some(status.as_u16()),
            Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Whether asking again may help: nothing answered, or the server itself is in trouble.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || self.status().is_some_and(|status| status >= 500 || status == 429)
    }
}

fn sentence(problem: &Problem) -> String {
    let detail = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
    let mut sentence = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(field) = problem.field.as_ref().filter(|field| !sentence.contains(field.as_str())) {
        sentence.push_str(&format!(" (field `{field}`)"));
    }
    if let Some(id) = &problem.rollout_id {
        sentence.push_str(&format!("; see it with `tidegate show {id}`"));
    }
    match problem.status {
        401 | 403 => sentence.push_str("; is TIDEGATE_KEY the right key?"),
        _ => {}
    }
    sentence
}

/// What the system said: the last cause is the one that tells.
fn root(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}
