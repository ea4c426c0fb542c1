//! What a router needs to start, and why it may not.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::trust::TrustedPeers;

/// Where a router listens and what it remembers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Holds `routes.json`; made if need be.
    pub state_dir: PathBuf,
    /// The name of this router among others.
    pub router: String,
    /// How long things may take.
    pub limits: Limits,
    /// Peers that may name a version themselves.
    pub trusted: TrustedPeers,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the whole request to the head of the answer. Long, because large models think long.
    pub head_timeout: Duration,
    /// From the last answer, or the connection's begin, to the end of the next head: hyper has one clock for a slow head and for an
    /// idle connection. Short, it would cut connections that clients think they can use again, and users would see that as errors.
    pub head_read: Duration,
    /// Without a byte of a body, in either direction, or with a client that does not read.
    pub idle_body: Duration,
    /// Without a byte in either direction of an upgraded connection. Long, because many who keep one open say little.
    pub idle_tunnel: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(300),
            head_read: Duration::from_secs(75),
            idle_body: Duration::from_secs(120),
            idle_tunnel: Duration::from_secs(3_600),
        }
    }
}

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not ours to listen on. The cause is part of the sentence, because it decides what to do.
    #[error("can't listen on {listen}: {cause}")]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// What stopped it, and what to try.
        cause: String,
    },
    /// The environment says something that makes no sense.
    #[error(transparent)]
    Configured(#[from] chassis::Mistakes),
    /// The folder of the routes cannot be used.
    #[error("cannot use the state folder {}", folder.display())]
    State {
        /// The folder.
        folder: PathBuf,
        /// What stopped it.
        #[source]
        source: io::Error,
    },
}

/// Says what a person can do about an address that cannot be had.
pub(super) fn cannot_listen(listen: SocketAddr, error: &io::Error) -> Error {
    let cause = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there already; stop it or choose another port".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    };
    Error::Listen { listen, cause }
}
