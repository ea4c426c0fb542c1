//! Values that need more than their own grammar.

use std::net::SocketAddr;
use std::time::Duration;

use rollout::{Health, Off, WhenLive};
use serde_json::Value;

/// `90s`, `30m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|cause| format!("{cause}; write `90s`, `30m` or `1h`"))
}

/// An address to listen on, if any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressOrOff(pub(crate) Option<SocketAddr>);

/// An address, or the word `off`.
pub(super) fn address_or_off(text: &str) -> Result<AddressOrOff, String> {
    match text {
        "off" => Ok(AddressOrOff(None)),
        address => address
            .parse()
            .map(|address| AddressOrOff(Some(address)))
            .map_err(|cause| format!("{cause}; write an address such as 127.0.0.1:7080, or `off`")),
    }
}

/// `reject`, `queue` or `supersede`.
pub(super) fn when_live(text: &str) -> Result<WhenLive, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| "write `reject`, `queue` or `supersede`".to_owned())
}

/// A number that can be counted.
pub(super) fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| "write a number such as `1` or `0.82`".to_owned())
}

/// A path, or the word `off`.
pub(super) fn health(text: &str) -> Result<Health, String> {
    match text {
        "off" => Ok(Health::Off(Off::Off)),
        path if path.starts_with('/') => Ok(Health::At { path: path.to_owned() }),
        _ => Err("write a path such as `/health`, or `off`".to_owned()),
    }
}

/// `name=value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_ascii_lowercase(), value.to_owned())),
        _ => Err("write `name=value`".to_owned()),
    }
}
