//! Routers in other processes: who they are, what is on their disk, and what they counted.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chassis::{Bucket, Core, Heartbeat, Roster, Say, Stamped, Trace};
use proto::Message;
use proto::http::Page;
use proto::internal::{BEAT, NAME_TAKEN, NOT_INTRODUCED, NewSample, RouterState, RouterView};
use proto::serving::{Beat, Word};
use rollout::RouterName;
use serde::de::DeserializeOwned;

use crate::problem::{Answer, Refusal, name};

/// The state of a router with ten thousand models.
pub(crate) const STATE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The name of the router in the process of `tidegate up`.
const EMBEDDED: &str = "embedded";

pub(crate) async fn list(State(core): State<Core>) -> Json<Page<RouterView>> {
    let (roster, now) = (Roster::new(&core.bus), core.clock.now());
    let view = |(name, heartbeat): (RouterName, Heartbeat)| {
        let state = if heartbeat.has_left {
            "left"
        } else if heartbeat.is_live(now) {
            "live"
        } else {
            "vanished"
        };
        let adopted = roster.all_adopted(&name, &heartbeat).into_iter().collect();
        RouterView { name, state: state.to_owned(), beat_at: heartbeat.beat_at, adopted }
    };
    Json(Page { items: roster.heartbeats().into_iter().map(view).collect(), cursor: None })
}

/// A router says that it lives and what is on its disk.
pub(crate) async fn introduce(State(core): State<Core>, Path(router): Path<String>, bytes: Bytes) -> Answer<Response> {
    let router = named(&router)?;
    let state: RouterState = read(&bytes)?;
    state.check().map_err(|(field, what)| Refusal::unprocessable("bad_state", what).field(field))?;
    let roster = Roster::new(&core.bus);
    let heartbeat =
        Heartbeat { boot: state.boot.clone(), home: state.home, beat_at: core.clock.now(), has_left: state.leaves };
    if !roster.beat(&router, &heartbeat).await? {
        let detail =
            format!("another live router is called {router}; give each router a --name and a --data of its own");
        return Err(Refusal::conflict(NAME_TAKEN, detail).field("name"));
    }
    for (place, generation) in &state.adopted {
        let word = Word { generation: *generation, held: state.held.get(place).copied() };
        roster.adopt(&router, &state.boot, (place, || Some(word))).await?;
    }
    Ok(with_beat(&core))
}

/// The answer to a state carries the beat that leases hang on.
fn with_beat(core: &Core) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let beats = core.bus.watch(Bucket::Beat);
    let beat = beats.borrow().get(Beat::KEY).and_then(|entry| HeaderValue::from_str(&entry.value).ok());
    if let Some(beat) = beat {
        answer.headers_mut().insert(BEAT, beat);
    }
    answer
}

/// What a router counted becomes the same message as that of a router in this process.
pub(crate) async fn sample(State(core): State<Core>, Path(router): Path<String>, bytes: Bytes) -> Answer<StatusCode> {
    let router = named(&router)?;
    let NewSample { id, sample } = read(&bytes)?;
    let bad = |field: &str, what: String| Err(Refusal::unprocessable("bad_sample", what).field(field));
    let heartbeat = Roster::new(&core.bus).heartbeat(&router).filter(|heartbeat| heartbeat.is_live(core.clock.now()));
    let Some(heartbeat) = heartbeat.filter(|heartbeat| sample.router == format!("{router}.{}", heartbeat.boot)) else {
        return Err(Refusal::conflict(NOT_INTRODUCED, format!("router {router} has to introduce itself first")));
    };
    let count = id.strip_prefix(&format!("ro.{router}.{}.", heartbeat.boot));
    if !count.is_some_and(|count| count.len() <= 20 && !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit())) {
        return bad("id", "id is not `ro.<router>.<boot>.<count>`".to_owned());
    }
    let place = proto::subject::key(&sample.tenant, &sample.model);
    if !core.bus.watch(Bucket::Route).borrow().contains_key(&place) {
        return bad("sample.model", format!("there is no route of model `{}`", sample.model));
    }
    let stamped = Stamped { service: "router", at: core.clock.now(), trace: &Trace::from_parent(None) };
    core.bus.publish(&stamped, &[Say { id, message: Message::RequestsCounted(sample) }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(router: &str) -> Answer<RouterName> {
    if router == EMBEDDED {
        let detail = "`embedded` is the router of `tidegate up` itself; give this one another --name";
        return Err(Refusal::unprocessable("bad_name", detail).field("name"));
    }
    name("name", router)
}

/// Reads a body that a program wrote, perhaps one of a newer release: fields that nobody knows here are skipped.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|cause| {
        let text = cause.to_string();
        let field = text.split('`').nth(1).filter(|_| text.contains("field")).map(str::to_owned);
        let refusal = Refusal::unprocessable("bad_body", text);
        match field {
            Some(field) => refusal.field(field),
            None => refusal,
        }
    })
}
