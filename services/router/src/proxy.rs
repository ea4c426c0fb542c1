//! The listener: connections in, draining out.
//!
//! It runs on the caller's runtime and takes no signals. On a stop it closes the listener and idle connections at once, lets
//! requests in flight finish for as long as the grace lasts, and then cuts the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::counts::Counts;
use crate::forward::Forward;
use crate::named::{Choices, Named};
use crate::routes::Routes;
use crate::saved::Disk;
use crate::stall::Stall;
use crate::tunnel::Line;
use crate::upstream;

/// Connections at once; more wait in the backlog of the system. A connection costs some 20 KiB and a file, its upstream
/// another file, so this stays below 20,480 files and 256 MiB.
const CONNECTIONS_MAX: usize = 10_000;

/// All headers of a request, as hyper reads them; from 32 KiB on we refuse them ourselves, in words.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// After a failed accept, usually for want of file descriptors: some are free again soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

mod config;

use config::cannot_listen;
pub use config::{Config, Error, Limits};

/// The way to start a router.
#[derive(Debug)]
pub struct Proxy;

/// A router that serves. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The name of this router among others.
    pub router: String,
    /// What it serves.
    pub routes: Routes,
    /// What came of it.
    pub counts: Counts,
    /// The versions that a request may name.
    pub choices: Choices,
    phase: watch::Sender<Phase>,
    tasks: TaskTracker,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Over,
}

impl Proxy {
    /// Listens, loads the routes of the disk and serves.
    ///
    /// # Errors
    /// If the address or the folder cannot be used.
    pub async fn start(config: Config) -> Result<Running, Error> {
        let Config { listen, state_dir, router, limits, trusted } = config;
        let listener = TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
        let addr = listener.local_addr().map_err(|error| cannot_listen(listen, &error))?;
        let counts = Counts::new();
        let opened = Disk::open(&state_dir).and_then(|disk| Ok((disk.read()?, disk)));
        let (saved, disk) = opened.map_err(|source| Error::State { folder: state_dir, source })?;
        let routes = Routes::load(saved, disk, counts.clone(), addr);
        let choices = Choices::default();
        let named = Named { trusted, choices: choices.clone(), counts: counts.clone(), own: addr };
        let (client, shared) = (upstream::client(), counts.clone());
        let forward = Arc::new(Forward { routes: routes.clone(), counts: shared, client, limits, named });
        let (phase, seen) = watch::channel(Phase::Serving);
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, forward, tasks.clone(), seen));
        tracing::info!(%addr, router, "router {router} listens on {addr} with {} routes from its disk", routes.served().len());
        Ok(Running { addr, router, routes, counts, choices, phase, tasks })
    }
}

impl Running {
    /// Takes no more connections, waits for requests in flight for at most `grace`, then cuts them. Says whether all had ended.
    pub async fn stop(self, grace: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        self.tasks.close();
        let is_drained = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.phase.send_replace(Phase::Over);
        self.tasks.wait().await;
        is_drained
    }
}

async fn accept(listener: TcpListener, forward: Arc<Forward>, tasks: TaskTracker, mut seen: watch::Receiver<Phase>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = reached(&mut seen, Phase::Draining) => break,
            accepted = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((tcp, peer))) => {
                let (place, seen, of_line) = (Arc::new(place), seen.clone(), tasks.clone());
                let line = Arc::new(Line { peer: peer.ip(), place, tasks: of_line, seen });
                tasks.spawn(serve(tcp, line, Arc::clone(&forward)));
            }
            (_, Err(error)) => {
                tracing::warn!("could not accept a connection, and will again: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => break,
        }
    }
}

async fn serve(tcp: TcpStream, line: Arc<Line>, forward: Arc<Forward>) {
    let mut seen = line.seen.clone();
    // Answers are written whole; waiting to fill packets would only delay streams.
    _ = tcp.set_nodelay(true);
    let io = TokioIo::new(Stall::new(tcp, forward.limits.idle_body));
    let head_read = forward.limits.head_read;
    let service = service_fn(move |request| Arc::clone(&forward).answer(request, Arc::clone(&line)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_read)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(http.serve_connection(io, service).with_upgrades());
    let mut over = seen.clone();
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        () = reached(&mut seen, Phase::Draining) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection => note(ended),
        () = reached(&mut over, Phase::Over) => {}
    }
}

/// Ends when the router has come to `phase`, or was dropped. A function of its own, so that the guard of the value is not held.
pub(crate) async fn reached(seen: &mut watch::Receiver<Phase>, phase: Phase) {
    _ = seen.wait_for(|now| *now >= phase).await;
}

/// Connections end for reasons of their clients all the time.
fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
    }
}
