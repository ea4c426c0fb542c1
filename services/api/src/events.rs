//! `GET /v1/events`: what happens to rollouts, as server-sent events.
//!
//! Events are rows of the log, read again after each commit, so nothing is lost that was committed, and a resume is a read from
//! an earlier place. A stream holds no more than one page in memory: it reads on when its client has taken what was there.

mod feed;
mod place;
mod streams;

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use chassis::Core;
use futures_util::{Stream, StreamExt as _, stream};
use proto::http::RolloutFact;
use rollout::{RolloutId, Tenant};
use serde::Deserialize;
use store::FactRow;

use crate::problem::{Answer, name};
use crate::rollouts::found;

use feed::Feed;
use place::{Place, resumed};
pub(crate) use streams::Peer;
use streams::Streams;

/// A comment is sent when nothing else was for this long, so that both ends notice when the other one is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A browser comes back after this, in milliseconds.
const RETRY: Duration = Duration::from_secs(2);

/// What a stream is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    core: Core,
    streams: Streams,
}

impl Open {
    pub(crate) fn new(core: &Core) -> Self {
        Self { core: core.clone(), streams: Streams::default() }
    }
}

/// Which events are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    rollout: Option<String>,
    tenant: Option<String>,
}

pub(crate) async fn open(
    State(Open { core, streams }): State<Open>,
    Query(asked): Query<Asked>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let now = core.clock.now();
    let place = resumed(&headers)?.unwrap_or_else(|| Place::at(now));
    let tenant: Option<Tenant> = asked.tenant.as_deref().map(|tenant| name("tenant", tenant)).transpose()?;
    let rollout: Option<RolloutId> = match asked.rollout {
        Some(text) => Some(found(&mut core.store.page().await?.rows(), &text).await?.id),
        None => None,
    };
    let slot = streams.enter(peer)?;
    let mut feed = Feed::new(core, (tenant, rollout), &place);
    feed.look().await?;
    let events = stream::unfold((feed, slot), |(mut feed, slot)| async {
        let row = feed.next().await?;
        Some((Ok(event(row)), (feed, slot)))
    });
    let hello = stream::once(async { Ok(Event::default().comment("events").retry(RETRY)) });
    Ok(Sse::new(hello.chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive")))
}

fn event(row: FactRow) -> Event {
    let id = Place::of(&row.entry).to_string();
    let fact = fact(row);
    let text = serde_json::to_string(&fact).unwrap_or_default();
    Event::default().id(id).event("rollout.moved").data(text)
}

fn fact(row: FactRow) -> RolloutFact {
    let FactRow { tenant, model, candidate, previous, entry } = row;
    RolloutFact {
        tenant,
        model,
        rollout_id: entry.rollout_id,
        version: entry.version,
        fact: entry.fact_kind,
        from: entry.from_stage,
        to: entry.to_stage,
        step: entry.step,
        candidate,
        previous,
        reason: entry.reason,
        actor: entry.actor,
        evidence: entry.evidence,
        at: entry.decided_at,
    }
}
