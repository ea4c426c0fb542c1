//! Where something may be sent (RELIABILITY section 5, outgoing URLs): checked when it is configured and when it is used.

mod address;
mod client;

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use chassis::outbound::{HTTPS, Place};
use url::{Host, Url};

pub(crate) use chassis::outbound::Unanswered;
pub(crate) use client::{Reply, post};

/// Hosts with a port that an operator has freed: `http` and private addresses are good there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed(BTreeSet<(String, u16)>);

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(entry).collect::<Result<_, _>>().map(Self)
    }
}

impl Allowed {
    fn frees(&self, host: &str, port: u16) -> bool {
        self.0.contains(&(host.to_owned(), port))
    }
}

/// `host`, which frees port 443, or `host:port`, which frees that port alone.
fn entry(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{}` is no host or host:port", text.escape_default());
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_string(), HTTPS));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?),
        None => (text, HTTPS),
    };
    Ok((named(&Host::parse(host).map_err(|_| wrong())?), port))
}

/// The name of a host as it is compared: in lower case, without the dot of the root, addresses without brackets.
fn named<S: AsRef<str>>(host: &Host<S>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// A URL that something may be sent to, once its host was resolved to addresses that are good.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    place: Place,
    /// Path and query: that of a Slack webhook is a secret.
    path: String,
    /// Whether an operator has freed host and port.
    is_freed: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}

impl Target {
    /// Checks a URL; the error says what is wrong, and nothing of its path.
    pub(crate) fn of(text: &str, allowed: &Allowed) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|cause| format!("is no URL: {cause}"))?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(format!("has the scheme `{other}`: write https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user part: leave it out".to_owned());
        }
        let host = url.host().ok_or("has no host")?;
        let port = url.port_or_known_default().unwrap_or(HTTPS);
        let name = named(&host);
        let is_freed = allowed.frees(&name, port);
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let target = Self { place: Place { host: name, port, is_tls }, path, is_freed };
        if !is_freed && !is_tls {
            return Err(format!(
                "goes to {target:?} without https: list it in TIDEGATE_OUTBOUND_ALLOW if that is meant"
            ));
        }
        if !is_freed && port != HTTPS {
            return Err(format!("goes to port {port}: list {target:?} in TIDEGATE_OUTBOUND_ALLOW if that is meant"));
        }
        match host {
            Host::Domain(_) => {}
            Host::Ipv4(address) => target.permits(&[address.into()])?,
            Host::Ipv6(address) => target.permits(&[address.into()])?,
        }
        Ok(target)
    }

    /// Checks what the name of the host means now; one that can't be resolved within `limit` is checked when it is used.
    pub(crate) fn check_name(&self, limit: Duration) -> Result<(), String> {
        let (asked, answered) = (self.clone(), mpsc::channel());
        std::thread::spawn(move || {
            let found = (asked.place.host.as_str(), asked.place.port).to_socket_addrs();
            // Nobody waits any more after the limit.
            let _ = answered.0.send(found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>()));
        });
        match answered.1.recv_timeout(limit) {
            Ok(Ok(addresses)) => self.permits(&addresses),
            _ => Ok(()),
        }
    }

    /// The same place with another path.
    pub(crate) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The same path at another place.
    pub(crate) fn moved_to(&self, place: &Self) -> Self {
        Self { path: self.path.clone(), ..place.clone() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether all addresses of the host are good: one that is not refuses them all, since nobody knows which one is used.
    fn permits(&self, addresses: &[IpAddr]) -> Result<(), String> {
        let bad = addresses.iter().find_map(|address| address::kind(*address).map(|kind| (address, kind)));
        match bad {
            Some((address, kind)) if !self.is_freed => Err(format!(
                "goes to {}, a {kind} address: list {self:?} in TIDEGATE_OUTBOUND_ALLOW if that is meant",
                if address.to_string() == self.place.host {
                    address.to_string()
                } else {
                    format!("{} ({address})", self.place.host)
                }
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, allowed: &str) -> Result<Target, String> {
        Target::of(url, &allowed.parse().unwrap())
    }

    #[test]
    fn only_https_on_its_own_port_goes_anywhere_without_an_entry() {
        let table = [
            ("https://hooks.slack.com/services/x", ""),
            ("https://hooks.slack.com:443/services/x?y=z", ""),
            ("https://93.184.216.34/", ""),
            ("https://[2606:2800:220:1::1]/", ""),
            ("https://internal.example:8443/", "internal.example:8443"),
            ("http://internal.example:80/", "internal.example:80"),
            ("http://INTERNAL.example.:8080/", "Internal.Example:8080"),
            ("https://10.0.0.7/", "10.0.0.7"),
            ("http://127.0.0.1:9/", "127.0.0.1:9"),
            ("http://[::1]:9/", "[::1]:9, other"),
            ("https://[::1]/", "::1"),
        ];
        for (url, allowed) in table {
            assert!(checked(url, allowed).is_ok(), "{url} with `{allowed}`: {:?}", checked(url, allowed));
        }
    }

    #[test]
    fn what_is_not_freed_is_refused_with_its_reason() {
        let table = [
            ("nonsense", "", "is no URL"),
            ("file:///etc/passwd", "", "has the scheme `file`"),
            ("gopher://example.com/", "example.com", "has the scheme `gopher`"),
            ("https://user@example.com/", "", "has a user part"),
            ("https://user:word@example.com/", "example.com", "has a user part"),
            ("https://:word@example.com/", "", "has a user part"),
            ("http://example.com/", "", "without https"),
            ("http://example.com/", "example.com", "without https"),
            ("https://example.com:8443/", "", "goes to port 8443"),
            ("https://example.com:8443/", "example.com", "goes to port 8443"),
            ("https://example.com:8444/", "example.com:8443", "goes to port 8444"),
            ("https://10.0.0.7/", "10.0.0.7:8443", "a private address"),
            ("https://127.0.0.1/", "127.0.0.1:9", "a loopback address"),
            ("https://169.254.169.254/latest", "", "a link-local address"),
            ("https://0x7f000001/", "", "a loopback address"),
            ("https://2130706433/", "", "a loopback address"),
            ("https://[::ffff:10.0.0.7]/", "", "a private address"),
            ("https://[64:ff9b::a00:7]/", "", "a private address"),
            ("https://[fe80::1]/", "", "a link-local address"),
        ];
        for (url, allowed, reason) in table {
            let refused = checked(url, allowed).unwrap_err();
            assert!(refused.contains(reason), "{url} with `{allowed}`: {refused}");
        }
    }

    #[test]
    fn one_bad_address_refuses_a_name_unless_it_is_freed_on_that_port() {
        let (good, bad) = ("93.184.216.34".parse().unwrap(), "192.168.1.1".parse().unwrap());
        let target = checked("https://two.example/", "").unwrap();
        assert_eq!(target.permits(&[good]), Ok(()));
        let refused = target.permits(&[good, bad]).unwrap_err();
        assert_eq!(
            refused,
            "goes to two.example (192.168.1.1), a private address: list two.example:443 in TIDEGATE_OUTBOUND_ALLOW if that is meant"
        );
        assert_eq!(checked("https://two.example/", "two.example").unwrap().permits(&[bad]), Ok(()));
        assert!(checked("https://two.example/", "two.example:8443").unwrap().permits(&[bad]).is_err());
    }

    #[test]
    fn an_entry_that_is_no_host_is_refused_and_a_path_is_never_shown() {
        for text in ["https://example.com", "a b", "host:port", "host:0", "host:70000", "[::1", "a/b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
        assert!(!format!("{:?}", checked("https://hooks.slack.com/services/secret", "")).contains("secret"));
        assert!(!checked("http://hooks.slack.com/services/secret", "").unwrap_err().contains("secret"));
    }
}
