//! Starting and stopping: binds, accepts, and ends within a bound.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::connection;
use crate::dials::{Dials, Refusal};
use crate::handler::Model;
use crate::panel::Panel;

/// Answers under way get this long after a stop; then their connections are cut.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Accepting fails when file descriptors run out; trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The model's name.
    pub name: String,
    /// The model's true version; the dial `reported_version` can contradict it.
    pub version: String,
    /// `MODEL_NAME` as it was given in the environment; `/info` repeats it.
    pub env_name: Option<String>,
    /// `MODEL_VERSION` as it was given in the environment; `/info` repeats it.
    pub env_version: Option<String>,
    /// Seed of every draw: the n-th prediction of the same seed is always the same.
    pub seed: u64,
    /// The dials at the start.
    pub dials: Dials,
}

/// Starts model servers.
pub struct Simulator;

/// A model server that runs. Dropping it cuts every connection at once, like a crash.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its dials.
    pub dials: Panel,
    model: Arc<Model>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("could not listen on {listen}")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A dial is outside its limits.
    #[error("could not set the dials")]
    Dials(#[source] Refusal),
}

impl Config {
    /// A healthy model on a free loopback port.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            name: name.to_owned(),
            version: version.to_owned(),
            env_name: None,
            env_version: None,
            seed: 1,
            dials: Dials::default(),
        }
    }
}

impl Simulator {
    /// Binds and begins to answer.
    pub async fn start(config: Config) -> Result<Running, Error> {
        config.dials.check().map_err(Error::Dials)?;
        let listen = config.listen;
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|cause| Error::Listen { listen, cause })?;
        let addr = listener.local_addr().map_err(|cause| Error::Listen { listen, cause })?;
        let model = Arc::new(Model::new(config));
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, model.clone(), stopping));
        Ok(Running { addr, dials: model.panel.clone(), model, stop, accepting })
    }
}

impl Running {
    /// `http://` and the address, without a slash at the end: what a version's `upstream` is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Prediction requests answered so far, with any status.
    #[must_use]
    pub fn predictions(&self) -> u64 {
        self.model.metrics.answered_total()
    }

    /// Stops accepting, lets answers under way finish for up to two seconds, then cuts what is left.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Returns when the simulator stops, or is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

async fn accept(listener: TcpListener, model: Arc<Model>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    let _ = tcp.set_nodelay(true);
                    connections.spawn(connection::serve(tcp, model.clone(), stop.clone()));
                }
                Err(cause) => {
                    tracing::warn!(%cause, "could not accept a connection, trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let drained = timeout(STOP_GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(cut = connections.len(), "stopped before every answer was finished");
    }
}
