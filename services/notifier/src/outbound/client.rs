//! One request to a place outside: resolved once, checked, and sent to the address that was checked.
//!
//! It is hyper on a socket of our own, because a general client would resolve once more, follow redirects and read proxy
//! variables, and because its TLS would ask every other client of the process for a provider.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rollout::At;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::Target;

/// One request takes no longer, from the name to the last byte of the answer.
const LIMIT: Duration = Duration::from_secs(10);
/// No more of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What the receiver answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// How many milliseconds to wait, if it says so.
    pub(crate) retry_after_ms: Option<i64>,
    /// The beginning of its body.
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, or may have been.
    Unsure(String),
}

/// Sends requests to places outside.
#[derive(Clone)]
pub(crate) struct Client {
    tls: TlsConnector,
}

impl Client {
    /// A client that trusts the certificates which this machine trusts.
    pub(crate) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Posts JSON and gives the answer.
    pub(crate) async fn post(
        &self,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
        now: At,
    ) -> Result<Reply, Failed> {
        let was_sent = AtomicBool::new(false);
        let sort = |text: String| {
            if was_sent.load(Ordering::Relaxed) { Failed::Unsure(text) } else { Failed::NotSent(text) }
        };
        match tokio::time::timeout(LIMIT, self.exchange(target, request(target, headers, body), &was_sent)).await {
            Ok(Ok(answer)) => Ok(read(answer, now)),
            Ok(Err(text)) => Err(sort(text)),
            Err(_) => Err(sort(format!("no answer within {} s", LIMIT.as_secs()))),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        was_sent: &AtomicBool,
    ) -> Result<(Response<()>, Vec<u8>), String> {
        let tcp = connect(target).await?;
        if !target.is_tls {
            return talk(tcp, request, was_sent).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|cause| format!("{}: {cause}", target.host))?;
        let tls = self.tls.connect(name, tcp).await.map_err(|cause| format!("TLS with {target:?} failed: {cause}"))?;
        talk(tls, request, was_sent).await
    }
}

/// Resolves once and connects to an address that was checked, whatever the name would mean a moment later.
async fn connect(target: &Target) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|cause| format!("can't resolve {}: {cause}", target.host))?.collect();
    target.permits(&addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>()).map_err(|why| format!("it {why}"))?;
    TcpStream::connect(addresses.as_slice()).await.map_err(|cause| format!("can't connect to {target:?}: {cause}"))
}

fn request(target: &Target, headers: &[(HeaderName, HeaderValue)], body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = target.path.parse().expect("the path of a parsed URL is a path");
    let known = request.headers_mut();
    known.insert(HOST, HeaderValue::from_str(&target.authority()).expect("a parsed host is printable"));
    known.insert(USER_AGENT, HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))));
    known.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    for (name, value) in headers {
        known.insert(name, value.clone());
    }
    request
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    was_sent: &AtomicBool,
) -> Result<(Response<()>, Vec<u8>), String> {
    let said = |cause: hyper::Error| format!("the connection failed: {cause}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    was_sent.store(true, Ordering::Relaxed);
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
        Ok((Response::from_parts(head, ()), beginning(body).await))
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // A receiver may close as soon as it has answered: what it said before is still there to be read.
        _ = &mut connection => answer.await,
    }
}

/// The beginning of a body; what breaks off after the status changes nothing.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < ANSWER_BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
    }
    read.truncate(ANSWER_BYTES_MAX);
    read
}

fn read((head, body): (Response<()>, Vec<u8>), now: At) -> Reply {
    let after = head.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Reply {
        status: head.status().as_u16(),
        retry_after_ms: after.and_then(|text| retry_after_ms(text, now)),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
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
