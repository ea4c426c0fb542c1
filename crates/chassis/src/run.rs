//! A service as a process of its own, in the distributed form: one nats-server, one PostgreSQL.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use store::{Class, Store};
use tokio::signal::unix::{SignalKind, signal};

use crate::admin;
use crate::back_off::BackOff;
use crate::bus::jet_stream::{Connection, NatsUrl};
use crate::bus::{Bus, Error};
use crate::clock::Told;
use crate::config::{Environment, Mistakes};
use crate::consume::chain;
use crate::core::Core;
use crate::metrics::Metrics;
use crate::prometheus::Prometheus;
use crate::secret::Secret;
use crate::services::Service;
use crate::telemetry::start_logging;

/// Where the database is; the address holds a password.
const DATABASE: &str = "TIDEGATE_DATABASE_URL_FILE";

/// The wait before what must be there is looked for again.
const AGAIN: BackOff = BackOff(Duration::from_millis(100), Duration::from_secs(5));

/// For what a thread has begun. Whoever needs a write has waited for it before.
const THREADS_LIMIT: Duration = Duration::from_secs(1);

/// Runs one service until it is told to stop: the whole of a `main.rs`.
///
/// `TIDEGATE_NATS_URL` and `TIDEGATE_DATABASE_URL_FILE` say where the others meet, `TIDEGATE_ADMIN` is the address of the admin
/// pages.
#[must_use]
pub fn run(service: &'static Service, serve: impl FnOnce(&Core)) -> ExitCode {
    run_until(alone(service, serve))
}

/// Runs a process with its log, until `main` has ended: its error is the last line.
#[must_use]
pub fn run_until(main: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    // The client logs each of its events, and we log what they mean.
    start_logging("info,async_nats=warn");
    match block_on(main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs something on a runtime of its own. What it leaves behind in threads has one second: the name of a server that is gone can be
/// looked up for ten.
///
/// # Errors
/// Its own, or that there is no runtime.
pub fn block_on<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(main);
    runtime.shutdown_timeout(THREADS_LIMIT);
    ended
}

async fn alone(service: &'static Service, serve: impl FnOnce(&Core)) -> anyhow::Result<()> {
    let places = Places::read(service)?;
    let core = tokio::select! {
        core = places.core(service) => core?,
        told = until_signal() => return Ok(told?),
    };
    admin::listen(&core, places.admin).await?;
    serve(&core);
    let told = core.until_told().await;
    anyhow::ensure!(core.stop().await, "some work did not end within 10 s");
    told
}

/// Where everything is that a service meets.
struct Places {
    nats: NatsUrl,
    database: Secret,
    admin: SocketAddr,
    prometheus: Option<Prometheus>,
}

impl Places {
    fn read(service: &Service) -> Result<Self, Mistakes> {
        let mut environment = Environment::of_process();
        for name in ["TIDEGATE_NATS_URL", DATABASE] {
            if environment.text(name).is_none() {
                let name_of_service = service.name;
                environment.mistake(format!(
                    "{name}: is missing, and {name_of_service} as a process of its own needs it; `tidegate up` runs every service in one process"
                ));
            }
        }
        let (nats, database) = (NatsUrl::read(&mut environment), environment.secret(DATABASE));
        let admin = environment.read("TIDEGATE_ADMIN", SocketAddr::from(([127, 0, 0, 1], 7090)));
        let prometheus = Prometheus::read(&mut environment);
        match (nats, database) {
            (Some(nats), Some(database)) => environment.finish().map(|()| Self { nats, database, admin, prometheus }),
            _ => Err(environment.finish().expect_err("what is missing was noted")),
        }
    }

    /// Meets the database and the nats-server, however long that takes: whoever starts everything at once, or while something is
    /// down, need not care for the order.
    async fn core(&self, service: &'static Service) -> anyhow::Result<Core> {
        let (metrics, time) = (Metrics::default(), Told::default());
        let connect = async || {
            let store = Store::connect(self.database.expose(), service.connections).await?;
            time.ask(&store).await.map(|()| store)
        };
        let store = patiently(connect, |error| error.class() == Class::Transient).await?;
        let clock = time.clock();
        let connection = Connection::open(&self.nats, service.name, &metrics).await?;
        connection.up().await;
        let needs = service.needs();
        patiently(async || connection.verify(&needs).await, |error| matches!(error, Error::Nats { .. })).await?;
        let values = service.values(&connection, &metrics);
        values.filled().await;
        let bus = Bus::jet_stream(values, service.says_as, (&store, &clock), &metrics);
        let core = Core::start_on(bus, store, clock, metrics);
        core.tasks.spawn(time.keep_asking(core.store.clone(), core.stop.clone()));
        Ok(Core { prometheus: self.prometheus.clone(), ..core })
    }
}

/// Tries until it works, or until waiting does not help; says once why it waits.
async fn patiently<T, E: std::error::Error>(
    attempt: impl AsyncFn() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut tries = 0;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) => {
                if tries == 0 {
                    tracing::warn!("waiting, and trying again: {}", chain(&error));
                }
                tokio::time::sleep(AGAIN.after(tries)).await;
                tries += 1;
            }
            other => return other,
        }
    }
}

/// Waits for SIGTERM or SIGINT; a second one ends the process at once, which is safe.
///
/// # Errors
/// When signals can't be listened to.
pub async fn until_signal() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(130);
    });
    Ok(())
}
