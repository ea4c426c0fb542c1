//! A stop over the bus alone, for an operator who has neither API nor database: it can only reduce, and stage-scheduler records it
//! when it hears it.

use std::time::Duration;

use anyhow::Context as _;
use chassis::services::{API, OPERATOR};
use chassis::{Bus, Clock, Connection, Metrics, NatsUrl, Stamped, Trace};
use proto::http::Command;
use rollout::{Route, Verb};

use crate::stop::{Stop, held, is_called, on_the_way};
use crate::verb::stopping;

/// A nats-server that is there has answered by then, and said what the routers serve.
const MEET_LIMIT: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug)]
pub struct Direct {
    /// The nats-server.
    pub nats: NatsUrl,
    /// A rollout by its id, or a model by its name.
    pub which: String,
    /// `rollback` or `cancel`.
    pub verb: Verb,
    /// Who asks, and why.
    pub said: Command,
}

/// What came of it.
#[derive(Debug)]
pub struct Stopped {
    /// The route that gave a candidate traffic.
    pub route: Route,
    /// Whether every live router has said, within 2 s, that it serves the stable version alone.
    pub applied: bool,
}

/// Stops a rollout over the bus alone.
///
/// # Errors
/// When no nats-server answers within 5 s, or no route there gives a candidate of such a rollout traffic.
pub async fn stop_directly(asked: Direct) -> anyhow::Result<Stopped> {
    let (metrics, clock) = (Metrics::default(), Clock::system());
    let connection = Connection::open(&asked.nats, OPERATOR.name, &metrics).await?;
    let values = OPERATOR.values(&connection, &metrics);
    let met = async {
        connection.up().await;
        connection.verify(&OPERATOR.needs()).await?;
        values.filled().await;
        anyhow::Ok(())
    };
    tokio::time::timeout(MEET_LIMIT, met).await.context("no nats-server answers within 5 s")??;
    let bus = Bus::without_store(values);
    let route = on_the_way(&bus, |route| is_called(route, &asked.which)).with_context(|| {
        format!("no route gives a candidate of `{}` traffic: there is nothing to take back", asked.which)
    })?;
    let command = stopping(&route, asked.verb, asked.said).context("the route belongs to no rollout")?;
    let Stop { id, command, .. } = Stop::new(command, None);
    let stamped = Stamped { service: API.name, at: clock.now(), trace: &Trace::from_parent(None) };
    bus.stop(&stamped, &id, &command).await?;
    let applied = held(&bus, &clock, &route).await;
    Ok(Stopped { route, applied })
}
