//! Configuration: every mistake is reported, not only the first.

use std::net::SocketAddr;

use ::chassis::{Environment, Prometheus};

fn environment(name: &str) -> Option<String> {
    match name {
        "ADDRESS" => Some("127.0.0.1:1".to_owned()),
        "PORT" => Some("many".to_owned()),
        "SHARE" => Some("\u{1b}[2J".to_owned()),
        _ => None,
    }
}

#[test]
fn what_is_set_counts_and_what_is_not_has_its_default() {
    let mut environment = Environment::new(environment);
    let address: SocketAddr = environment.read("ADDRESS", SocketAddr::from(([0, 0, 0, 0], 0)));
    assert_eq!((address.port(), environment.read("MISSING", 7)), (1, 7));
    environment.finish().unwrap();
}

#[test]
fn all_mistakes_are_said_together_and_without_control_characters() {
    let mut environment = Environment::new(environment);
    assert_eq!((environment.read("PORT", 7), environment.read("SHARE", 0.5)), (7, 0.5));
    environment.mistake("PORT and ADDRESS can't be given together");
    let said = environment.finish().unwrap_err().to_string();
    let expected = "can't start with this configuration:\n  PORT: `many`: invalid digit found in string\n  \
                    SHARE: `\\u{1b}[2J`: invalid float literal\n  PORT and ADDRESS can't be given together";
    assert_eq!(said, expected);
}

#[test]
fn a_prometheus_has_an_address_of_http_or_https_without_a_user() {
    let read = |url: &str, label: Option<&str>| {
        let (url, label) = (url.to_owned(), label.map(str::to_owned));
        let mut environment = Environment::new(move |name: &str| match name {
            Prometheus::URL => Some(url.clone()),
            Prometheus::TENANT_LABEL => label.clone(),
            _ => None,
        });
        let prometheus = Prometheus::read(&mut environment);
        environment.finish().map(|()| prometheus.unwrap()).map_err(|mistakes| mistakes.to_string())
    };
    for (url, authority, path, is_tls) in [
        ("http://127.0.0.1:9090", "127.0.0.1:9090", "", false),
        ("http://metrics.example/prometheus/", "metrics.example", "/prometheus", false),
        ("https://metrics.example", "metrics.example", "", true),
        ("https://[::1]:9443/a/b", "[::1]:9443", "/a/b", true),
    ] {
        let read = read(url, Some("tenant")).unwrap();
        let place = &read.url.place;
        assert_eq!((place.authority().as_str(), read.url.path.as_str(), place.is_tls), (authority, path, is_tls));
        assert_eq!(read.tenant_label.unwrap().as_str(), "tenant");
    }
    for url in [
        "",
        "prometheus:9090",
        "file:///etc/passwd",
        "http://ana:secret@host",
        "http://",
        "http://h/?a=b",
        "ftp://h",
        "https://ana@h",
    ] {
        assert!(read(url, None).unwrap_err().contains(Prometheus::URL), "{url}");
    }
    for label in ["", "a b", "7a", "__name__", "a\"="] {
        assert!(read("http://h", Some(label)).unwrap_err().contains(Prometheus::TENANT_LABEL), "{label}");
    }
}
