//! The embedded form: every service in one process, over SQLite and the in-process bus.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use chassis::{Clock, Core, Prometheus};
use notifier::Receivers;
use store::Store;

/// Where it keeps what it must remember, and where it listens.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub data: PathBuf,
    /// The API, on a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The router; port 0 takes a free one. Without it, routers in other processes follow the API.
    pub router: Option<SocketAddr>,
    /// The Prometheus that policies may ask.
    pub prometheus: Option<Prometheus>,
    /// Who is told what becomes of a rollout.
    pub receivers: Receivers,
}

/// A running tidegate.
#[derive(Debug)]
pub struct Embedded {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where the router listens, if it has one.
    pub router: Option<SocketAddr>,
    core: Core,
}

/// The name of the one router.
const ROUTER: &str = "embedded";

impl Embedded {
    /// Starts everything. The addresses come first: one that can't be had is the only line that a person reads.
    ///
    /// # Errors
    /// One sentence when the folder or an address can't be used.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let store = Store::open(&options.data).await?;
        let mut core = Core::start(store, Clock::system()).await?;
        core.prometheus.clone_from(&options.prometheus);
        match Self::serve(&core, &options, &options.data).await {
            Ok((api, router)) => Ok(Self { api, router, core }),
            Err(error) => {
                core.stop().await;
                Err(error)
            }
        }
    }

    async fn serve(core: &Core, options: &Options, data: &Path) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
        let api = api::listen(core, options.listen).await.context("the API can't start")?;
        let router = match options.router {
            Some(listen) => {
                let name = ROUTER.parse().context("the router has no name")?;
                let joined = router::join(core, listen, data.join("router"), &name).await;
                Some(joined.context("the router can't start")?)
            }
            None => None,
        };
        registry_writer::serve(core);
        stage_scheduler::serve(core);
        analyzer::serve(core);
        traffic_updater::serve(core);
        deployer::serve(core);
        notifier::serve(core, options.receivers.clone());
        Ok((api, router))
    }

    /// Waits for a signal to stop.
    ///
    /// # Errors
    /// When a service gave up before.
    pub async fn until_told(&self) -> anyhow::Result<()> {
        self.core.until_told().await
    }

    /// Stops taking requests, finishes what is in hand, and closes the database.
    ///
    /// # Errors
    /// When that takes longer than 10 s; nothing is lost by it.
    pub async fn stop(self) -> anyhow::Result<()> {
        ensure!(self.core.stop().await, "some work did not end within 10 s; it goes on at the next start");
        Ok(())
    }
}
