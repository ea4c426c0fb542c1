//! What routers in other processes read: the applied routes, as soon as they change.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chassis::{Bucket, Core, Roster};
use judge::Span;
use proto::internal::{Choice, NOT_INTRODUCED, RouteTable};
use rollout::{Direction, Route, RouterName};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::problem::{Answer, Refusal};

/// A longer wait would meet the limit of a whole request.
const WAIT_MAX: Span = Span::from_secs(20);

/// Who asks, and how long an answer may wait for a change.
#[derive(Debug, Deserialize)]
pub(crate) struct Asks {
    router: Option<RouterName>,
    boot: Option<String>,
    wait: Option<String>,
}

/// All routes; with `If-None-Match` and `wait`, as soon as they are others than those.
pub(crate) async fn routes(
    State(core): State<Core>,
    asks: Result<Query<Asks>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Answer<Response> {
    let Query(asks) = asks.map_err(|cause| Refusal::bad_request(cause.body_text()))?;
    let wait = waited(asks.wait.as_deref())?;
    let mut changes = core.bus.watch(Bucket::Route);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let until = tokio::time::Instant::now() + wait;
    loop {
        introduced(&core, &asks)?;
        changes.borrow_and_update();
        let (tag, body) = table(&core).await?;
        if known.is_none_or(|known| !names(known, &tag)) {
            return Ok(tagged(StatusCode::OK, &tag, body));
        }
        let more = tokio::select! {
            changed = tokio::time::timeout_at(until, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = core.stop.cancelled() => return Err(Refusal::unavailable("the control plane is stopping")),
        };
        if !more {
            // A version that was registered meanwhile changed no route: it is told with the next answer.
            return Ok(tagged(StatusCode::NOT_MODIFIED, &tag, String::new()));
        }
    }
}

fn waited(text: Option<&str>) -> Answer<Duration> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let bad = |what: String| Refusal::unprocessable("bad_wait", what).field("wait");
    let span: Span = text.parse().map_err(|cause: judge::span::Error| bad(cause.to_string()))?;
    if span > WAIT_MAX {
        Err(bad(format!("wait is longer than {WAIT_MAX}")))
    } else {
        Ok(Duration::from_millis(span.0))
    }
}

/// A router that says its name gets routes only while it is known by it: whoever applies a split must know whom to wait for.
fn introduced(core: &Core, asks: &Asks) -> Answer<()> {
    let Some(name) = &asks.router else { return Ok(()) };
    let heartbeat = Roster::new(&core.bus).heartbeat(name);
    let is_known = heartbeat.is_some_and(|heartbeat| {
        heartbeat.is_live(core.clock.now()) && asks.boot.as_ref().is_none_or(|boot| *boot == heartbeat.boot)
    });
    if is_known {
        return Ok(());
    }
    Err(Refusal::conflict(
        NOT_INTRODUCED,
        format!("router {name} has to introduce itself first: PUT /internal/routers/{name}"),
    ))
}

async fn table(core: &Core) -> Answer<(String, String)> {
    let values = applied(core).await?;
    let mut choices: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
    for row in core.store.page().await?.rows().choices().await? {
        let choice = Choice { version: row.version, upstream: row.upstream, headers: row.headers };
        choices.entry(proto::subject::key(&row.tenant, &row.name)).or_default().push(choice);
    }
    choices.retain(|key, _| values.contains_key(key));
    let routes = values.iter().filter_map(|(key, route)| {
        // Whatever does not parse is no route, and its target would say so.
        Some((key.clone(), RawValue::from_string(route.clone()).ok()?))
    });
    let table = RouteTable { routes: routes.collect(), choices };
    let body = serde_json::to_string(&table)
        .map_err(|cause| Refusal::unavailable(format!("can't write the routes: {cause}")))?;
    Ok((tag(&body), body))
}

/// The routes as they were applied, by key. While the bus is down nothing is, so what takes traffic away is told from the database:
/// a wished retreat, and that a rollout was stopped (RELIABILITY 3.4).
async fn applied(core: &Core) -> Answer<BTreeMap<String, String>> {
    let values = core.bus.watch(Bucket::Route).borrow().clone();
    let mut values: BTreeMap<_, _> = values.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect();
    if core.bus.ailing().is_none() {
        return Ok(values);
    }
    let mut reader = core.store.page().await?;
    let (wishes, stopped) = (reader.rows().routes().await?, reader.rows().stopped().await?);
    for wish in wishes {
        let key = proto::subject::key(&wish.tenant, &wish.model);
        let Some(there) = values.get_mut(&key) else { continue };
        let Ok(mut route) = serde_json::from_str::<Route>(there) else { continue };
        if wish.direction == Direction::Back && wish.generation > route.generation {
            route = wish;
        } else if route.direction == Direction::Forward {
            route.stopped |= route.rollout_id.as_ref().is_some_and(|id| stopped.contains(id));
        }
        *there = serde_json::to_string(&route)
            .map_err(|cause| Refusal::unavailable(format!("can't write a route: {cause}")))?;
    }
    Ok(values)
}

/// The tag of a body.
pub(crate) fn tag(body: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(body);
    let hex = digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("\"{hex}\"")
}

/// Whether an `If-None-Match` names the tag.
pub(crate) fn names(known: &str, tag: &str) -> bool {
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// JSON with its tag.
pub(crate) fn tagged(status: StatusCode, tag: &str, body: String) -> Response {
    let mut answer = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
