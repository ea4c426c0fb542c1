//! Where requests may be sent: model servers live on loopback and private addresses; never the link-local ones, which hold
//! cloud credentials.

use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue, Uri};

use crate::problem::{Answer, Refusal};

/// Longest base URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Headers that a version may set.
const HEADERS_MAX: usize = 16;

/// Checks an upstream's base URL.
pub(crate) fn check(upstream: &str) -> Answer<()> {
    let refused = |what: &str| {
        Err(Refusal::unprocessable(
            "bad_upstream",
            format!("upstream `{}`: {what}; write http://host:port", upstream.escape_default()),
        )
        .field("upstream"))
    };
    if upstream.len() > URL_BYTES_MAX {
        return refused("it is too long");
    }
    let Ok(url) = upstream.parse::<Uri>() else { return refused("it is no URL") };
    if url.scheme_str() != Some("http") {
        return refused("only http is served");
    }
    let Some(authority) = url.authority() else { return refused("it names no host") };
    if authority.as_str().contains('@') {
        return refused("it names a user");
    }
    if url.query().is_some() {
        return refused("it has a query");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) if is_forbidden(address) => refused("this address is never a model server"),
        _ if host.is_empty() => refused("it names no host"),
        _ => Ok(()),
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6.is_unspecified()
                || v6.to_ipv4_mapped().is_some_and(|v4| is_forbidden(IpAddr::V4(v4)))
        }
    }
}

/// Checks the headers that choose a version inside its server. They are stored and shown, so secrets have no place in them.
pub(crate) fn check_headers<'h>(headers: impl ExactSizeIterator<Item = (&'h String, &'h String)>) -> Answer<()> {
    if headers.len() > HEADERS_MAX {
        return Err(Refusal::unprocessable("bad_headers", format!("at most {HEADERS_MAX} headers")).field("headers"));
    }
    for (name, value) in headers {
        let refused = |what: &str| {
            Err(Refusal::unprocessable("bad_headers", format!("header `{}`: {what}", name.escape_default()))
                .field("headers"))
        };
        let lower = name.to_ascii_lowercase();
        if HeaderName::from_bytes(lower.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
            return refused("not a header that HTTP allows");
        }
        if lower == "authorization" || lower == "cookie" || lower.ends_with("-key") {
            return refused("headers are stored and shown, so a secret can't stand here");
        }
        if matches!(
            lower.as_str(),
            "host" | "connection" | "transfer-encoding" | "content-length" | "te" | "upgrade" | "trailer"
        ) {
            return refused("the router sets it itself");
        }
    }
    Ok(())
}
