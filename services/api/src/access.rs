//! Who may ask: with the key of an administrator, whoever shows it; without one, programs on this machine, and no page of another
//! site through a browser on it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chassis::{Environment, Secret};
use sha2::{Digest as _, Sha256};

use crate::problem::{Answer, Refusal};

const KEY_FILE: &str = "TIDEGATE_ADMIN_KEY_FILE";
/// A shorter key could be guessed.
const KEY_BYTES_MIN: usize = 32;
/// Pages and calls that tell nobody anything.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Who may ask.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// Programs on this machine.
    ThisMachine,
    /// Whoever shows the key with this hash.
    Holder(Arc<[u8; 32]>),
}

impl Access {
    /// As the environment of this process says; a bad key is noted.
    pub(crate) fn read<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>) -> Self {
        let Some(key) = environment.secret(KEY_FILE) else { return Self::ThisMachine };
        let bytes = key.expose().len();
        if bytes < KEY_BYTES_MIN {
            environment.mistake(format!(
                "{KEY_FILE}: the key has {bytes} characters, and at least {KEY_BYTES_MIN} are needed"
            ));
        }
        Self::of(&key)
    }

    fn of(key: &Secret) -> Self {
        Self::Holder(Arc::new(hash(key.expose().as_bytes())))
    }

    /// Refuses whoever may not ask at all, and what a browser was led here for.
    pub(crate) fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer<()> {
        match self {
            Self::ThisMachine if !header_text(headers, header::HOST).as_deref().is_some_and(is_ours) => {
                // A name that somebody else's DNS points at us would make their pages ours.
                return Err(Refusal::forbidden(
                    "host_not_ours",
                    "the Host header names another machine; use 127.0.0.1 or localhost",
                ));
            }
            // Hashes are compared: how long that takes tells nothing of the key.
            Self::Holder(known) if !OPEN.contains(&path) && shown(headers).is_none_or(|key| hash(&key) != **known) => {
                return Err(Refusal::unauthorized(
                    "this API wants its key: the header `x-api-key`, or `authorization: Bearer …`; a browser asks for it as a password",
                ));
            }
            _ => {}
        }
        let writes = !matches!(*method, Method::GET | Method::HEAD);
        if writes && is_cross_site(headers) {
            return Err(Refusal::forbidden("cross_site", "a page of another site can't write here"));
        }
        Ok(())
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The key that a request shows: in a header, or as the password that a browser asked for, under whatever name.
fn shown(headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes().to_owned());
    }
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(key.trim().as_bytes().to_owned()),
        "basic" => {
            let pair = BASE64_STANDARD.decode(key.trim()).ok()?;
            let colon = pair.iter().position(|byte| *byte == b':')?;
            Some(pair[colon + 1..].to_owned())
        }
        _ => None,
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_ascii_lowercase)
}

/// `localhost`, or a loopback address, with or without a port.
fn is_ours(host: &str) -> bool {
    let without_port = if host.starts_with('[') {
        host.split_once(']').map_or(host, |(name, _)| name)
    } else {
        host.split(':').next().unwrap_or(host)
    };
    let name = without_port.trim_start_matches('[');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a browser says that another site's page sent this.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let fetched_from = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if fetched_from.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = header_text(headers, header::ORIGIN) else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    Some(host) != header_text(headers, header::HOST).as_deref()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const KEY: &str = "tg_abcdefgh_0123456789012345678901234567890123456789012";

    fn answer(access: &Access, path: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        access.check(&Method::GET, path, &headers).err().map(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn a_key_is_asked_for_in_every_way_that_it_is_shown() {
        let access = Access::of(&Secret::of(KEY.to_owned()));
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{KEY}")));
        for shown in [("x-api-key", KEY), ("authorization", &format!("Bearer {KEY}")), ("authorization", &basic)] {
            assert_eq!(answer(&access, "/v1/models", &[("host", "tidegate.example"), shown]), None, "{shown:?}");
        }
        let wrong = [
            ("host", "localhost"),
            ("x-api-key", ""),
            ("x-api-key", &KEY[1..]),
            ("authorization", KEY),
            ("authorization", "Basic ?"),
            ("authorization", "Basic YWJj"),
            ("authorization", "Digest x"),
        ];
        for shown in wrong {
            assert_eq!(answer(&access, "/v1/models", &[shown]), Some(401), "{shown:?}");
        }
        assert_eq!(answer(&access, "/readyz", &[]), None);
    }

    #[test]
    fn without_a_key_this_machine_alone_is_served() {
        for (host, answered) in [("localhost:7070", None), ("[::1]:7070", None), ("tidegate.example", Some(403))] {
            assert_eq!(answer(&Access::ThisMachine, "/v1/models", &[("host", host)]), answered, "{host}");
        }
    }

    #[test]
    fn a_key_that_could_be_guessed_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "secret").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut environment = Environment::new(|_: &str| Some(file.display().to_string()));
        assert!(matches!(Access::read(&mut environment), Access::Holder(_)));
        let told = environment.finish().unwrap_err().to_string();
        assert!(
            told.ends_with("TIDEGATE_ADMIN_KEY_FILE: the key has 6 characters, and at least 32 are needed"),
            "{told}"
        );
    }
}
