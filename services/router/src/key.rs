//! The key that decides the arm: the session's id, else the request's.
//!
//! A key of a request is not sticky across requests, so those are counted apart.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::served::Served;

/// Carries the id of one request, made here where the client sent none.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request is bucketed by.
#[derive(Debug)]
pub(crate) enum Key<'a> {
    /// From the session's header or cookie.
    Session(&'a str),
    /// The id that the client gave the request.
    Request(&'a str),
    /// The id that was made here: no two requests share one.
    Made(&'a str),
}

impl Key<'_> {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Session(text) | Self::Request(text) | Self::Made(text) => text,
        }
    }

    pub(crate) fn is_of_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Made(_))
    }
}

/// The id of a request, and whether we made it.
#[derive(Debug)]
pub(crate) struct RequestId {
    pub(crate) value: HeaderValue,
    pub(crate) is_made: bool,
}

impl RequestId {
    /// The client's, or a new one that sorts by time.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if let Some(value) = headers.get(&REQUEST_ID)
            && as_text(value).is_some()
        {
            return Self { value: value.clone(), is_made: false };
        }
        let mut letters = Uuid::encode_buffer();
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut letters);
        Self { value: HeaderValue::from_str(text).expect("a UUID is visible ASCII"), is_made: true }
    }
}

/// The key of a request: session header, else session cookie, else `request_id`.
pub(crate) fn of<'a>(served: &Served, headers: &'a HeaderMap, request_id: &'a RequestId) -> Key<'a> {
    if let Some(session) = headers.get(&served.session_header).and_then(as_text) {
        return Key::Session(session);
    }
    if let Some(name) = &served.route().matches.session_cookie
        && let Some(session) = cookie(headers, name)
    {
        return Key::Session(session);
    }
    let id = as_text(&request_id.value).unwrap_or_default();
    if request_id.is_made { Key::Made(id) } else { Key::Request(id) }
}

/// Empty values and those that are not UTF-8 are no keys: the bucket is defined over UTF-8.
fn as_text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok().filter(|text| !text.is_empty())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(as_text).flat_map(|line| line.split(';'));
    let value = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(found, _)| *found == name)?.1.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(value).filter(|value| !value.is_empty())
}
