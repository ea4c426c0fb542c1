//! One request to a receiver, and its answer as far as it matters.

use std::time::Duration;

use bytes::Bytes;
use chassis::outbound::{Limits, Unanswered};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use rollout::At;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Target;

/// No more of an answer is waited for or read.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: 64 * 1024 };

/// What the receiver answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// How many milliseconds to wait, if it says so.
    pub(crate) retry_after_ms: Option<i64>,
    /// The beginning of its body; what breaks off after the status changes nothing.
    pub(crate) body: String,
}

/// Posts JSON and gives the answer.
pub(crate) async fn post(
    target: &Target,
    headers: &[(HeaderName, HeaderValue)],
    body: Vec<u8>,
    now: At,
) -> Result<Reply, Unanswered> {
    let permits = |addresses: &[_]| target.permits(addresses);
    let reply = target.place.exchange(request(target, headers, body), LIMITS, permits).await?;
    let after = reply.head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(Reply {
        status: reply.head.status.as_u16(),
        retry_after_ms: after.and_then(|text| retry_after_ms(text, now)),
        body: String::from_utf8_lossy(&reply.body).into_owned(),
    })
}

fn request(target: &Target, headers: &[(HeaderName, HeaderValue)], body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = target.path.parse().expect("the path of a parsed URL is a path");
    let known = request.headers_mut();
    known.insert(HOST, HeaderValue::from_str(&target.place.authority()).expect("a parsed host is printable"));
    known.insert(USER_AGENT, HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))));
    known.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    for (name, value) in headers {
        known.insert(name, value.clone());
    }
    request
}

/// Seconds, or an instant as HTTP writes it.
fn retry_after_ms(text: &str, now: At) -> Option<i64> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(i64::from(seconds) * 1_000);
    }
    let at = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?.unix_timestamp().saturating_mul(1_000);
    Some(At(at).ms_since(now).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_an_instant() {
        let now = At(1_445_412_420_000);
        assert_eq!(retry_after_ms("30", now), Some(30_000));
        assert_eq!(retry_after_ms(" 0 ", now), Some(0));
        assert_eq!(retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(60_000));
        assert_eq!(retry_after_ms("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(0));
        assert_eq!(retry_after_ms("soon", now), None);
        assert_eq!(retry_after_ms("-5", now), None);
    }
}
