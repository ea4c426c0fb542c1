//! One request to a place outside: resolved once, checked by whoever sends it, and sent to the addresses that were checked.
//!
//! It is hyper on a socket of our own, because a general client would resolve once more, follow redirects and read proxy
//! variables, and because its TLS would ask every other client of the process for a provider. Each request has a connection of
//! its own: there are few, and none is kept open for nobody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::request::Request;
use axum::http::response::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The port of https.
pub const HTTPS: u16 = 443;
/// Nobody is waited for longer before there is a connection, TLS and all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A host and a port, and whether TLS is spoken there.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub is_tls: bool,
}

/// How much of an answer is waited for and read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the name to the last byte.
    pub time: Duration,
    /// Of the body.
    pub bytes: usize,
}

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    /// Status and headers.
    pub head: Parts,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: End,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was read whole.
    Whole,
    /// It goes on behind what is read.
    TooLong,
    /// The other side broke it off.
    Broken,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, or may have been.
    Unsure(String),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Place {
    /// What the header `Host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.is_tls { HTTPS } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    /// Sends a request whose target is a path, and gives the answer. `permits` says of all addresses of the host whether they are
    /// good, and what is wrong with them otherwise.
    ///
    /// # Errors
    /// [`Unanswered`], with the cause in words.
    pub async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limits: Limits,
        permits: impl Fn(&[IpAddr]) -> Result<(), String>,
    ) -> Result<Reply, Unanswered> {
        let was_sent = AtomicBool::new(false);
        let sort = |text: String| {
            let may_be_there = was_sent.load(Ordering::Relaxed);
            if may_be_there { Unanswered::Unsure(text) } else { Unanswered::NotSent(text) }
        };
        let exchanged = async {
            let late = |_| format!("no connection to {self:?} within {} s", CONNECT_LIMIT.as_secs());
            let stream = tokio::time::timeout(CONNECT_LIMIT, self.connect(permits)).await.map_err(late)??;
            talk(stream, request, limits.bytes, &was_sent).await
        };
        match tokio::time::timeout(limits.time, exchanged).await {
            Ok(exchanged) => exchanged.map_err(sort),
            Err(_) => Err(sort(format!("no answer within {} s", limits.time.as_secs()))),
        }
    }

    /// Resolves once and connects to an address that was checked, whatever the name would mean a moment later.
    async fn connect(&self, permits: impl Fn(&[IpAddr]) -> Result<(), String>) -> Result<Box<dyn Stream>, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|cause| format!("can't resolve {}: {cause}", self.host))?.collect();
        permits(&addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>()).map_err(|why| format!("it {why}"))?;
        let tcp = TcpStream::connect(addresses.as_slice()).await;
        let tcp = tcp.map_err(|cause| format!("can't connect to {self:?}: {cause}"))?;
        if !self.is_tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(self.host.clone()).map_err(|cause| format!("{}: {cause}", self.host))?;
        let tls = tls().connect(name, tcp).await.map_err(|cause| format!("TLS with {self:?} failed: {cause}"))?;
        Ok(Box::new(tls))
    }
}

/// A connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// TLS that trusts the certificates which this machine trusts, or those in `SSL_CERT_FILE`; read when it is first needed.
fn tls() -> &'static TlsConnector {
    static TLS: OnceLock<TlsConnector> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    })
}

async fn talk(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
    was_sent: &AtomicBool,
) -> Result<Reply, String> {
    let said = |cause: hyper::Error| format!("the connection failed: {cause}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    was_sent.store(true, Ordering::Relaxed);
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
        let (body, end) = read(body, bytes_max).await;
        Ok(Reply { head, body, end })
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // A receiver may close as soon as it has answered: what it said before is still there to be read.
        _ = &mut connection => answer.await,
    }
}

async fn read(mut body: Incoming, bytes_max: usize) -> (Vec<u8>, End) {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (read, End::Broken) };
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
        if read.len() > bytes_max {
            read.truncate(bytes_max);
            return (read, End::TooLong);
        }
    }
    (read, End::Whole)
}
