//! The router among the other services: it follows the applied routes, confirms what it serves, and sends what it counted. It has
//! no inbox, no outbox and no rows.
//!
//! - `adoption`: the one loop that takes routes, wherever they come from; `words`: what is said of them; `sampling`: what was counted,
//!   sent when it is due.
//! - `on_bus`: a process of its own that follows a nats-server; `reread` reads routes elsewhere while that is down.
//! - `feed`: a bus, or a control plane; `control` follows the latter by HTTP, `call` is one request to it.

mod adoption;
mod call;
mod choices;
mod control;
mod feed;
mod holding;
mod on_bus;
mod pace;
mod reread;
mod sampling;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::admin::{self, Says};
use chassis::{Clock, Core, Environment, Mistakes, Secret};
use rollout::RouterName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::counts::Counts;
use crate::home::Home;
use crate::proxy::{Config, Error, Limits, Proxy, Running};
use crate::routes::Routes;
use crate::trust::TrustedPeers;
pub use call::Address;
use call::Server;
use control::{Control, Who};
use feed::Feed;
pub use on_bus::run;

/// Holds the key that a control plane wants to see.
const KEY_FILE: &str = "TIDEGATE_KEY_FILE";
/// A process that is told to end has ended by then.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What a router needs of the process around it.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Life {
    /// Tells everything to end, and waits for it: for as long as requests may drain and last words be said, and no longer.
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::error!(
                "{} parts of the router did not end within {END_LIMIT:?}, and are cut off",
                self.tasks.len()
            );
        }
    }
}

/// Starts a router called `name` and keeps it in step with the bus until the process stops; gives the address that it got.
///
/// # Errors
/// When the address or the folder can't be used.
pub async fn join(core: &Core, listen: SocketAddr, state_dir: PathBuf, name: &RouterName) -> Result<SocketAddr, Error> {
    let trusted = trusted()?;
    let names_versions = !trusted.is_empty();
    let running = start(listen, state_dir, name, trusted).await?;
    if names_versions {
        core.tasks.spawn(choices::follow(core.clone(), running.choices.clone()));
    }
    let address = running.addr;
    let counts = running.counts.clone();
    core.metrics.add_page(move || counts.prometheus());
    let feed = Feed::bus(&core.bus, name, &boot(), "");
    let life = Life { clock: core.clock.clone(), tasks: core.tasks.clone(), stop: core.stop.clone() };
    core.tasks.spawn(adoption::follow(life, running, feed));
    Ok(address)
}

/// How a router follows a control plane in another process.
#[derive(Debug, Clone)]
pub struct Following {
    /// Where the control plane is.
    pub control: Address,
    /// Where the router listens.
    pub listen: SocketAddr,
    /// Holds its routes; one router at a time.
    pub folder: PathBuf,
    /// Its name among others.
    pub name: RouterName,
}

/// A router that follows a control plane by HTTP.
#[derive(Debug)]
pub struct Alone {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What came of the requests.
    pub counts: Counts,
    routes: Routes,
    life: Life,
    control: Arc<Control>,
    _home: Home,
}

impl Alone {
    /// Serves what is on the disk, and follows the control plane as soon as there is one.
    ///
    /// # Errors
    /// When the address or the folder can't be used.
    pub async fn start(following: Following) -> Result<Self, Error> {
        let Following { control, listen, folder, name } = following;
        let home = Home::open(&folder).map_err(|source| Error::State { folder: folder.clone(), source })?;
        let running = start(listen, folder, &name, trusted()?).await?;
        let (addr, counts, routes) = (running.addr, running.counts.clone(), running.routes.clone());
        let life = Life { clock: Clock::system(), tasks: TaskTracker::new(), stop: CancellationToken::new() };
        // A router has no page of its own for a count of jumps: its log tells them.
        life.tasks.spawn(life.clock.clone().keep(life.stop.clone(), || {}));
        let who = Who { name, boot: boot(), home: home.id.clone() };
        let control =
            Control::start(&life, Server::new(control, key()?.as_ref()), who, (&running.routes, &running.choices));
        life.tasks.spawn(adoption::follow(life.clone(), running, Feed::Control(Arc::clone(&control))));
        Ok(Self { addr, counts, routes, life, control, _home: home })
    }

    /// Serves `/livez`, `/readyz` and `/metrics` on `address`; gives the one that it got. It is ready once it has routes, from its
    /// disk or from the control plane, or is known there; before, it would answer every request with 404.
    ///
    /// # Errors
    /// One sentence when the address can't be used.
    pub async fn serve_admin(&self, address: SocketAddr) -> anyhow::Result<SocketAddr> {
        let (routes, control, stop) = (self.routes.clone(), Arc::clone(&self.control), self.life.stop.clone());
        let is_ready = move || !stop.is_cancelled() && (control.is_known() || !routes.served().is_empty());
        let (counts, routes) = (self.counts.clone(), self.routes.clone());
        let metrics = move || counts.prometheus_alone(routes.beat_age());
        admin::listen_alone(address, Says { is_ready, metrics }, (&self.life.tasks, &self.life.stop)).await
    }

    /// Ends when the control plane does not want this router, with the reason.
    pub async fn refused(&self) -> String {
        self.control.refused().await
    }

    /// Lets requests finish, sends the last counts, and says that it left.
    pub async fn stop(self) {
        self.life.end().await;
    }
}

async fn start(
    listen: SocketAddr,
    state_dir: PathBuf,
    name: &RouterName,
    trusted: TrustedPeers,
) -> Result<Running, Error> {
    Proxy::start(Config { listen, state_dir, router: name.to_string(), limits: Limits::default(), trusted }).await
}

/// The peers that may name a version themselves: `TIDEGATE_TRUSTED_PEERS`, by default none.
fn trusted() -> Result<TrustedPeers, Mistakes> {
    let mut environment = Environment::of_process();
    let trusted = environment.read("TIDEGATE_TRUSTED_PEERS", TrustedPeers::default());
    environment.finish().map(|()| trusted)
}

/// The key that a control plane wants to see, if one is given.
fn key() -> Result<Option<Secret>, Mistakes> {
    let mut environment = Environment::of_process();
    let key = environment.secret(KEY_FILE);
    environment.finish().map(|()| key)
}

/// Names this process among those that had the name before; later ones are greater.
fn boot() -> String {
    Uuid::now_v7().simple().to_string()
}
