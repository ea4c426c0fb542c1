//! Where an arm is: its base URL taken apart once, the client that calls it, and the addresses that are never dialled.
//!
//! Loopback and private addresses are where model servers live. Link-local and multicast ones are not, and neither is our own
//! listener. Literal addresses are refused with the route; names are checked at each resolution, since they can move.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::upload::Upload;

/// RELIABILITY section 5. Model servers are near; a handshake that takes longer is a dead host.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Below the five seconds after which uvicorn, the most common model server, closes an idle connection: reusing one in the
/// moment of its closing costs a request.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Finds a vanished host between two requests, long before a pooled connection to it would be used for hours.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

type Addresses = std::vec::IntoIter<SocketAddr>;
type Resolver = BoxCloneSyncService<Name, Addresses, std::io::Error>;

/// The pooled client of all upstreams.
pub(crate) type UpstreamClient = Client<HttpConnector<Resolver>, Upload>;

/// A base URL, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    authority: Authority,
    /// Without a trailing `/`; empty where the URL has no path.
    base: String,
    /// What the upstream sees as `host`.
    pub(crate) host: HeaderValue,
}

impl Upstream {
    /// Reads `http://host:port/base`.
    pub(crate) fn parse(url: &str, own: SocketAddr) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("`{}` is not a URL", url.escape_default()))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(format!("`{}` is not an http:// URL", url.escape_default()));
        }
        let authority = uri.authority().ok_or("names no host")?.clone();
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err("a base URL has no user and no query".to_owned());
        }
        check_host(&authority, own)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| "the host is not a header value")?;
        Ok(Self { authority, base: uri.path().trim_end_matches('/').to_owned(), host })
    }

    /// The address of `path` (with the route's prefix already gone) below the base.
    pub(crate) fn uri(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let rest = if path.is_empty() { "/" } else { path };
        let mut target = String::with_capacity(self.base.len() + rest.len() + query.map_or(0, |query| query.len() + 1));
        target.push_str(&self.base);
        target.push_str(rest);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// A keep-alive pool. It sends a request again only if a reused connection closed before anything of it was written.
pub(crate) fn client() -> UpstreamClient {
    let mut connector = HttpConnector::new_with_resolver(BoxCloneSyncService::new(tower::service_fn(resolve)));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(TCP_KEEPALIVE));
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(POOL_IDLE).pool_timer(TokioTimer::new()).timer(TokioTimer::new()).set_host(false);
    builder.build(connector)
}

async fn resolve(name: Name) -> std::io::Result<Addresses> {
    let found = tokio::time::timeout(CONNECT_TIMEOUT, GaiResolver::new().call(name)).await;
    let found = found.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    Ok(found.filter(|address| is_allowed(address.ip())).collect::<Vec<_>>().into_iter())
}

fn check_host(authority: &Authority, own: SocketAddr) -> Result<(), String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(80);
    let ip = if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse::<IpAddr>().ok() };
    let Some(ip) = ip else { return Ok(()) };
    if !is_allowed(ip) {
        return Err(format!("{ip} is a link-local, multicast or unspecified address, where no model server lives"));
    }
    let is_own = port == own.port() && (ip == own.ip() || own.ip().is_unspecified() && ip.is_loopback());
    if is_own { Err(format!("{host}:{port} is this router itself")) } else { Ok(()) }
}

fn is_allowed(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(|ip| !is_allowed(IpAddr::V4(ip)))
        }
    };
    !(link_local || ip.is_multicast() || ip.is_unspecified())
}
