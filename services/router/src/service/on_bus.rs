//! A router in a process of its own that follows a nats-server. With that and everything else dead it serves what is on its disk.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::admin::{self, Says};
use chassis::services::ROUTER;
use chassis::{Bucket, Bus, Clock, Connection, Environment, JetStream, Metrics, Mistakes, NatsUrl, Secret};
use proto::serving::Beat;
use rollout::RouterName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::Server;
use super::feed::Feed;
use super::{Address, KEY_FILE, Life, adoption, boot, reread, start, trusted};
use crate::home::Home;
use crate::proxy::Error;

/// A beat that is later than this, in milliseconds, is none that took its time: the clock of the control part was set back.
const LATE_MS: i64 = 2_000;

/// A balancer has noticed long before.
const LINGER_MAX: Duration = Duration::from_secs(60);

/// Runs a router until it is told to stop: the whole of a `main.rs`.
///
/// `TIDEGATE_NATS_URL` says where routes come from, `TIDEGATE_ROUTER` where it listens, `TIDEGATE_ROUTER_NAME` what it is called
/// among others, `TIDEGATE_DATA` names its folder, `TIDEGATE_ADMIN` the address of its admin pages, and `TIDEGATE_URL` the API that it asks while
/// the server is down.
#[must_use]
pub fn run() -> ExitCode {
    chassis::run_until(alone())
}

/// Where a router is, and what it follows.
struct Place {
    nats: NatsUrl,
    listen: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    name: RouterName,
    /// Where routes can be read while the server is down.
    control: Option<Address>,
    /// What that wants to see.
    key: Option<Secret>,
    /// How long it takes requests after it was told to end.
    linger: Duration,
}

impl Place {
    fn read() -> anyhow::Result<Self> {
        let mut environment = Environment::of_process();
        if environment.text("TIDEGATE_NATS_URL").is_none() {
            environment
                .mistake("TIDEGATE_NATS_URL: is missing; to follow a control plane by HTTP, use `tidegate router`");
        }
        let nats = NatsUrl::read(&mut environment);
        let listen = environment.read("TIDEGATE_ROUTER", SocketAddr::from(([127, 0, 0, 1], 7080)));
        let admin = environment.read("TIDEGATE_ADMIN", SocketAddr::from(([127, 0, 0, 1], 7090)));
        let data: PathBuf = environment.read("TIDEGATE_DATA", PathBuf::from("tidegate-data"));
        let name = environment.read("TIDEGATE_ROUTER_NAME", "router".parse()?);
        let (control, key) = (environment.given("TIDEGATE_URL"), environment.secret(KEY_FILE));
        let linger = environment.read("TIDEGATE_ROUTER_LINGER", humantime::Duration::from(Duration::ZERO)).into();
        if linger > LINGER_MAX {
            environment.mistake(format!("TIDEGATE_ROUTER_LINGER: {linger:?} is more than {LINGER_MAX:?}"));
        }
        match nats {
            Some(nats) => {
                environment.finish()?;
                Ok(Self { nats, listen, admin, folder: data.join("router"), name, control, key, linger })
            }
            None => Err(environment.finish().map_or_else(Mistakes::into, |()| anyhow::anyhow!("there is no server"))),
        }
    }
}

async fn alone() -> anyhow::Result<()> {
    let Place { nats, listen, admin, folder, name, control, key, linger } = Place::read()?;
    let metrics = Metrics::default();
    let connection = Connection::open(&nats, ROUTER.name, &metrics).await?;
    let values = ROUTER.values(&connection, &metrics);
    let home = Home::open(&folder).map_err(|source| Error::State { folder: folder.clone(), source })?;
    let running = start(listen, folder, &name, trusted()?).await?;
    let (counts, routes) = (running.counts.clone(), running.routes.clone());
    let life = Life { clock: Clock::system(), tasks: TaskTracker::new(), stop: CancellationToken::new() };
    tokio::spawn(keep_time(life.clock.clone(), values.clone()));
    let feed = Feed::bus(&Bus::without_store(values.clone()), &name, &boot(), &home.id);
    life.tasks.spawn(adoption::follow(life.clone(), running, feed));
    if let Some(control) = control {
        life.tasks.spawn(reread::reread(
            life.clone(),
            routes.clone(),
            values.clone(),
            Server::new(control, key.as_ref()),
        ));
    }
    let is_known = Arc::new(AtomicBool::new(false));
    tokio::spawn(meet(connection, values, Arc::clone(&is_known)));
    let (of_pages, told) = (routes.clone(), CancellationToken::new());
    let ends = told.clone();
    // With the server down it does what it is there for, so that is no reason to give it no requests.
    let is_ready = move || !ends.is_cancelled() && (is_known.load(Ordering::Relaxed) || !of_pages.served().is_empty());
    let metrics = move || counts.prometheus_alone(routes.beat_age()) + &metrics.counters();
    admin::listen_alone(admin, Says { is_ready, metrics }, (&life.tasks, &life.stop)).await?;
    chassis::until_signal().await?;
    told.cancel();
    tokio::time::sleep(linger).await;
    life.end().await;
    Ok(())
}

/// Goes by the time that the control part's beats tell: what a router says of itself and of its requests is read by the clock of
/// the database, and nothing of its own can come early. A beat that is a little late sets nothing back.
async fn keep_time(clock: Clock, values: JetStream) {
    let mut beats = values.watch(Bucket::Beat);
    beats.mark_changed();
    while beats.changed().await.is_ok() {
        let beat =
            beats.borrow_and_update().get(Beat::KEY).and_then(|entry| serde_json::from_str::<Beat>(&entry.value).ok());
        let (Some(beat), Some(age)) = (beat, values.age(Bucket::Beat, Beat::KEY)) else { continue };
        let told = beat.beat_at.plus_ms(i64::try_from(age.as_millis()).unwrap_or(0));
        let ahead = told.ms_since(clock.now());
        if !(-LATE_MS..=0).contains(&ahead) {
            clock.adopt(told);
        }
    }
}

/// Ends once there is a server that is set up, and its routes are known.
async fn meet(connection: Connection, values: JetStream, is_known: Arc<AtomicBool>) {
    connection.up().await;
    if let Err(error) = connection.verify(&ROUTER.needs()).await {
        tracing::error!("the router serves what is on its disk: {error}");
    }
    values.filled().await;
    is_known.store(true, Ordering::Relaxed);
}
