//! The distributed form: real processes of the release build over one nats-server (`sync_interval: always`) and one PostgreSQL that
//! writes to its disk, each figure beside the same work without our code on the same servers.

mod backlog;
mod deadlines;
mod floor;
mod hop;
mod load;
mod moves;
mod plane;
mod relay;
mod served;

use crate::figure::Figure;

/// Through the scheduler alone: one event at a time, a backlog, and what waits for the relay.
pub(crate) async fn steps() -> anyhow::Result<Vec<Figure>> {
    let hop = hop::measure().await?;
    let mut figures = hop.figures();
    figures.push(backlog::measure().await?);
    figures.push(relay::measure().await?);
    Ok(figures)
}

/// How late deadlines fire.
pub(crate) async fn deadlines() -> anyhow::Result<Vec<Figure>> {
    deadlines::measure().await
}

/// From a route to the router that serves it, and from promotes and breaches to routes, under load.
pub(crate) async fn moves() -> anyhow::Result<Vec<Figure>> {
    let hop = hop::measure().await?;
    let mut figures = vec![served::measure().await?];
    figures.extend(moves::measure(&hop).await?);
    Ok(figures)
}
