//! What an upstream says about its own answer: `x-tidegate-observe: cost_usd=0.0123, hallucination=1`.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// Carries observations; never reaches the client.
pub(crate) const OBSERVE: HeaderName = HeaderName::from_static("x-tidegate-observe");

/// More in one response are ignored (CONTRACTS section 6).
const PER_RESPONSE_MAX: usize = 16;

/// The square of a larger value would leave little room for sums; no cost, count or score comes near it.
const VALUE_MAX: f64 = 1e15;

/// The observations of a response, and how many of its items were ignored.
pub(crate) fn take(headers: &mut HeaderMap) -> (Vec<(String, f64)>, u64) {
    if !headers.contains_key(&OBSERVE) {
        return (Vec::new(), 0);
    }
    let lines: Vec<HeaderValue> = headers.get_all(&OBSERVE).iter().cloned().collect();
    headers.remove(&OBSERVE);
    let mut taken = Vec::new();
    let mut ignored = 0;
    for line in &lines {
        let text = String::from_utf8_lossy(line.as_bytes());
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            match read(item) {
                Some(observation) if taken.len() < PER_RESPONSE_MAX => taken.push(observation),
                _ => ignored += 1,
            }
        }
    }
    (taken, ignored)
}

fn read(item: &str) -> Option<(String, f64)> {
    let (name, value) = item.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value: f64 = value.parse().ok()?;
    (is_name(name) && value.is_finite() && value.abs() <= VALUE_MAX).then(|| (name.to_owned(), value))
}

fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
