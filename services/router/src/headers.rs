//! Headers on their way through: which requests are refused for them, which stay on this connection, which we add.
//!
//! What describes one connection is removed both ways (RFC 9110 section 7.6.1), with everything that `connection` names; a wish to
//! upgrade is said anew by `tunnel`.

use std::net::IpAddr;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Uri};

use crate::problem::Refusal;

/// The version that answered; from clients an override, which needs a token.
pub(crate) const MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
/// The live rollout.
pub(crate) const ROLLOUT_ID: HeaderName = HeaderName::from_static("x-rollout-id");
/// `stable` or `candidate`.
pub(crate) const ROLLOUT_ARM: HeaderName = HeaderName::from_static("x-rollout-arm");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

const OF_ONE_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether a header belongs to the connection or to the proxy, so that a route may not set it.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    OF_ONE_CONNECTION.contains(name) || [HOST, CONTENT_LENGTH, EXPECT].contains(name)
}

/// Target and headers of a request together.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Whether the head of a request is small enough. The listener's own limit is higher, because it can only cut a connection off.
pub(crate) fn fit<B>(request: &Request<B>) -> Result<(), Refusal> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let lines = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if target + lines.sum::<usize>() > HEAD_BYTES_MAX { Err(Refusal::head_too_large(HEAD_BYTES_MAX)) } else { Ok(()) }
}

/// The host that a request names. Only origin-form targets with exactly one good `host` are answered.
pub(crate) fn host_of<B>(request: &Request<B>) -> Result<&str, Refusal> {
    let is_origin_form = request.uri().scheme().is_none() && request.uri().authority().is_none();
    if request.method() == Method::CONNECT || !is_origin_form {
        return Err(Refusal::bad_request("the request target must be a path: this is no forward proxy"));
    }
    if has_dot_segments(request.uri()) {
        return Err(Refusal::bad_request(
            "the path has `.` or `..` segments, which could leave the upstream's base path",
        ));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::bad_request("send exactly one `host` header"));
    };
    let host = host.to_str().unwrap_or_default();
    if host.contains('@') || host.parse::<Authority>().is_err() {
        return Err(Refusal::bad_request("the `host` header is not a host name with an optional port"));
    }
    Ok(host)
}

fn has_dot_segments(uri: &Uri) -> bool {
    let path = uri.path();
    if !path.contains("/.") && !path.contains('%') {
        return false;
    }
    path.split('/').any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

/// Removes what belongs to the connection on which the message came. Lengths are no option of a connection: they stay even if
/// named, because the body is framed by them.
pub(crate) fn leave_connection(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        for name in lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
            if let Ok(name) = HeaderName::try_from(name.trim())
                && name != CONTENT_LENGTH
                && name != HOST
            {
                headers.remove(&name);
            }
        }
    }
    for name in &OF_ONE_CONNECTION {
        headers.remove(name);
    }
}

/// Tells the upstream who asked, after what proxies before us said.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, peer: IpAddr, host: &HeaderValue) {
    if let Ok(peer) = HeaderValue::try_from(peer.to_canonical().to_string()) {
        append(headers, FORWARDED_FOR, &peer);
    }
    append(headers, FORWARDED_PROTO, &HeaderValue::from_static("http"));
    append(headers, FORWARDED_HOST, host);
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value.clone());
        return;
    }
    let mut all: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    all.push(value.as_bytes());
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
        headers.insert(name, joined);
    }
}
