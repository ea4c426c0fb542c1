//! The router among the other services: it follows the bucket of routes, confirms in another what it serves, and sends what it
//! counted. It has no inbox, no outbox and no rows.

mod sampling;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::{Bucket, Core, Entry, Environment};
use rollout::Route;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::proxy::{Config, Error, Limits, Proxy, Running};
use crate::routes::Adoption;
use sampling::Sampling;

/// A router says that it lives this often; without it for 15 s it is dead.
const BEAT_AGAIN: Duration = Duration::from_secs(5);
/// Requests in flight have this long when the router stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// Runs the service on `TIDEGATE_ROUTER`; an address that can't be used stops the process.
pub fn serve(core: &Core) {
    core.tasks.spawn(serve_or_stop(core.clone()));
}

async fn serve_or_stop(core: Core) {
    let mut environment = Environment::of_process();
    let listen = environment.read("TIDEGATE_ROUTER", SocketAddr::from(([127, 0, 0, 1], 7080)));
    let state_dir: PathBuf = environment.read("TIDEGATE_DATA", PathBuf::from("tidegate-data"));
    let served = match environment.finish() {
        Ok(()) => join(&core, listen, state_dir.join("router"), "router").await.map(drop).map_err(anyhow::Error::from),
        Err(mistakes) => Err(mistakes.into()),
    };
    if let Err(error) = served {
        tracing::error!("{error:#}");
        core.stop.cancel();
    }
}

/// Starts a router called `name` and keeps it in step with the bus until the process stops; gives the address that it got.
///
/// # Errors
/// When the address or the folder can't be used.
pub async fn join(core: &Core, listen: SocketAddr, state_dir: PathBuf, name: &str) -> Result<SocketAddr, Error> {
    let config = Config { listen, state_dir, router: name.to_owned(), limits: Limits::default() };
    let running = Proxy::start(config).await?;
    let address = running.addr;
    let counts = running.counts.clone();
    core.metrics.add_page(move || counts.prometheus());
    let core = core.clone();
    core.tasks.clone().spawn(async move { follow(core, running).await });
    Ok(address)
}

/// Adoption waits for nothing: what was counted is sent by a task of its own.
async fn follow(core: Core, running: Running) {
    let boot = Uuid::now_v7().simple().to_string();
    let sampling = Sampling::new(format!("{}.{}", running.router, &boot[20..]), running.counts.clone());
    let (adopted, fresh) = mpsc::unbounded_channel();
    core.tasks.spawn(sampling.run(core.clone(), running.routes.clone(), fresh));
    let mut routes = core.bus.watch(Bucket::Route);
    let mut seen: BTreeMap<String, i64> = BTreeMap::new();
    let mut beat = tokio::time::interval(BEAT_AGAIN);
    routes.mark_changed();
    loop {
        tokio::select! {
            _ = beat.tick() => {
                say(&core, &format!("{}._._", running.router), core.clock.now().0).await;
                routes.mark_changed();
            }
            changed = routes.changed() => {
                if changed.is_err() { break }
                let values = Arc::clone(&routes.borrow_and_update());
                for route in adopt(&core, &running, &values, &mut seen).await {
                    // A sampler that is gone stops with the process.
                    let _ = adopted.send(route);
                }
            }
            () = core.stop.cancelled() => break,
        }
    }
    if !running.stop(DRAIN_LIMIT).await {
        tracing::warn!("some requests were cut off: they did not end within {DRAIN_LIMIT:?}");
    }
}

/// Takes the routes that changed, and says of each what it serves now; gives those that are new.
async fn adopt(
    core: &Core,
    running: &Running,
    values: &BTreeMap<String, Entry>,
    seen: &mut BTreeMap<String, i64>,
) -> Vec<Route> {
    let mut new = Vec::new();
    for (key, entry) in values {
        if seen.get(key) == Some(&entry.revision) {
            continue;
        }
        let route = match serde_json::from_str::<Route>(&entry.value) {
            Ok(route) => route,
            Err(error) => {
                tracing::error!("the route {key} does not decode, so the last one stays: {error}");
                continue;
            }
        };
        let adoption = running.routes.adopt(route.clone()).await;
        if let Adoption::Refused(reason) = &adoption {
            // Not confirmed, and tried again with the next beat: a full disk may have room by then.
            tracing::error!("the route {key} of generation {} is refused: {reason}", route.generation);
            continue;
        }
        seen.insert(key.clone(), entry.revision);
        if adoption == Adoption::Stale {
            tracing::warn!("the route {key} of generation {} is older than the one that is served", route.generation);
        }
        if let Some(generation) = running.routes.generation(&route.tenant, &route.model) {
            say(core, &format!("{}.{key}", running.router), generation).await;
        }
        if adoption == Adoption::Adopted {
            new.push(route);
        }
    }
    new
}

/// Puts a word about this router into the bucket; it is said again, so a failure is only noted.
async fn say(core: &Core, key: &str, value: i64) {
    if let Err(error) = core.bus.set(Bucket::Router, key, value.to_string()).await {
        tracing::warn!("can't say {key} on the bus: {error:#}");
    }
}
