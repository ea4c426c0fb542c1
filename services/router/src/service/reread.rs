//! While the nats-server is down: the routes of the API, which then tells from the database what takes traffic away. So a retreat
//! and a stop need no bus (RELIABILITY 3.4). No beat comes this way, so leases run out all the same.

use std::time::Duration;

use chassis::JetStream;
use proto::internal::RouteTable;
use rollout::Route;

use super::Life;
use super::adoption::checked;
use super::call::Server;
use crate::routes::{Adoption, Routes};

/// How often: a stop reaches a router within this and what the API itself takes.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads routes while the server is down, until the process stops.
pub(super) async fn reread(life: Life, routes: Routes, values: JetStream, server: Server) {
    let mut tag = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = life.stop.cancelled() => return,
        }
        if values.ailing().is_none() {
            tag = None;
            continue;
        }
        let asked = tokio::select! {
            asked = server.routes(None, tag.as_deref()) => asked,
            () = life.stop.cancelled() => return,
        };
        match asked {
            Ok(Some((new, table))) => {
                take(&routes, &table).await;
                tag = Some(new);
            }
            Ok(None) => {}
            Err(failed) => tracing::warn!("without a nats-server, and {failed}; the last good routes are served"),
        }
    }
}

async fn take(routes: &Routes, table: &RouteTable) {
    let all = table.routes.iter().filter_map(|(key, route)| checked(key, route.get()).ok());
    let all: Vec<Route> = all.collect();
    let adoptions = routes.adopt_all(all.clone()).await;
    for (route, _) in all.iter().zip(adoptions).filter(|(_, adoption)| *adoption == Adoption::Adopted) {
        let Route { tenant, model, generation, .. } = route;
        tracing::warn!(%tenant, %model, generation, "the route of {tenant}/{model} came from the API: there is no nats-server");
    }
}
