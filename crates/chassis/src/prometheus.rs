//! Which Prometheus policies may ask: configuration of the operator alone. Policies name series, never addresses.

use std::str::FromStr;

use axum::http::Uri;

use crate::config::Environment;
use crate::outbound::{HTTPS, Place};

/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// A Prometheus, or what speaks its query API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    /// Its base URL.
    pub url: PrometheusUrl,
    /// The label that holds the tenant, forced into every selector; none if all its series belong to whoever asks.
    pub tenant_label: Option<LabelName>,
}

/// The base URL of a Prometheus: `http` or `https`, no user in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusUrl {
    /// Where it is.
    pub place: Place,
    /// What stands in front of the paths of its API.
    pub path: String,
}

/// The name of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelName(String);

impl Prometheus {
    /// The variable that names the URL.
    pub const URL: &str = "TIDEGATE_PROMETHEUS_URL";
    /// The variable that names the tenant's label.
    pub const TENANT_LABEL: &str = "TIDEGATE_PROMETHEUS_TENANT_LABEL";

    /// What the environment says; none if it names no URL.
    pub fn read<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>) -> Option<Self> {
        let url = environment.given(Self::URL);
        let tenant_label = environment.given(Self::TENANT_LABEL);
        url.map(|url| Self { url, tenant_label })
    }
}

impl FromStr for PrometheusUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > URL_BYTES_MAX {
            return Err("it is too long");
        }
        let url: Uri = text.parse().map_err(|_| "it is no URL: write http://host:9090")?;
        let is_tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("only http and https are spoken: write http://host:9090"),
        };
        let authority = url.authority().map_or("", axum::http::uri::Authority::as_str);
        if authority.contains('@') {
            return Err("it names a user, and an address is no place for a password: leave that part out");
        }
        if authority.is_empty() || url.query().is_some() || text.contains('#') {
            return Err("write a host and at most a path: http://host:9090");
        }
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if is_tls { HTTPS } else { 80 });
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { place: Place { host, port, is_tls }, path })
    }
}

impl FromStr for LabelName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let is_label = text.bytes().next().is_some_and(is_first)
            && text.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
            && !text.starts_with("__");
        if is_label { Ok(Self(text.to_owned())) } else { Err("it is no name of a label: write one such as tenant") }
    }
}

impl LabelName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
