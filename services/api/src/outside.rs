//! `POST /v1/events`: what other systems ask for, as CloudEvents: the same requests as on the bus.
//!
//! An event keeps its own source and id, by which it is known on every road: said again, here or elsewhere, it is the same
//! rollout. So it needs no `Idempotency-Key`.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chassis::{Core, Outside, Stamped, Trace, pass_on};
use proto::cdevents::SUITE_FINISHED;
use proto::http::{EventTaken, EventsTaken, typed};
use proto::{EvaluationFinished, Event, Malformed, Message, NAME_BYTES_MAX, Stamp, VersionPromote};
use rollout::{RolloutId, Tenant};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Answer, Refusal, bounded};
use crate::promotion;
use crate::said::{SERVICE, fits};

/// What is taken. Others are refused rather than parked: their sender is there to hear it.
const PROMOTE: &str = "dev.tidegate.version.promote.v1";
const EVALUATED: &str = "dev.tidegate.evaluation.finished.v1";
/// Who hears of evaluations.
const SCHEDULER: &str = "stage-scheduler";
const STRUCTURED: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";

pub(crate) async fn post(
    State(core): State<Core>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<EventsTaken>)> {
    let (mut said, mut items, mut is_new) = (Vec::new(), Vec::new(), false);
    for (place, event) in read(&headers, &bytes)? {
        let Event { source, id, kind, .. } = event.clone();
        let event = event.in_our_words().map_err(|bad| malformed(&bad).within(&place))?;
        let taken = taken(&core, event).await.map_err(|refusal| refusal.within(&place))?;
        let stamp = Stamp { id: id.clone(), source: source.clone(), at: core.clock.now(), traceparent: None };
        fits(&taken.message, &stamp).map_err(|refusal| refusal.field(format!("{place}data")))?;
        items.push(EventTaken { source: source.clone(), id: id.clone(), kind, rollout_id: taken.rollout_id });
        said.push(Outside { source, id, message: taken.message });
        is_new |= taken.is_new;
    }
    if is_new {
        promotion::no_backlog(&core).await?;
    }
    let stamped = Stamped { service: SERVICE, at: core.clock.now(), trace: &Trace::from_parent(None) };
    pass_on(&core.bus, core.store.begin().await?, &stamped, &said).await?;
    Ok((StatusCode::ACCEPTED, Json(EventsTaken { items })))
}

/// An event that can be taken.
struct Taken {
    message: Message,
    rollout_id: RolloutId,
    /// It begins a rollout.
    is_new: bool,
}

async fn taken(core: &Core, event: Event) -> Answer<Taken> {
    if event.is_ours() {
        let detail = format!("the source `{}` is one of Tidegate's own", event.source.escape_default());
        return Err(Refusal::unprocessable("bad_source", detail).field("source"));
    }
    match event.kind.as_str() {
        PROMOTE => promotion_of(core, event).await,
        EVALUATED => evaluation_of(core, event).await,
        other => {
            let detail = format!(
                "the type `{}` is not taken here; {PROMOTE}, {EVALUATED} and {SUITE_FINISHED}… are",
                other.escape_default()
            );
            Err(Refusal::unprocessable("unknown_type", detail).field("type"))
        }
    }
}

async fn promotion_of(core: &Core, event: Event) -> Answer<Taken> {
    let rollout_id = RolloutId::of(&event.source, &event.id);
    let asked: VersionPromote = data(event)?;
    let in_data = |refusal: Refusal| refusal.within("data.");
    promotion::check_words(asked.policy.as_ref(), asked.requested_by.as_deref(), asked.reason.as_deref())
        .map_err(in_data)?;
    let is_new = core.store.page().await?.rows().rollout(&rollout_id).await?.is_none();
    if is_new {
        promotion::check(core, &asked, &rollout_id).await.map_err(in_data)?;
    }
    Ok(Taken { message: Message::VersionPromote(asked), rollout_id, is_new })
}

async fn evaluation_of(core: &Core, event: Event) -> Answer<Taken> {
    let (source, id) = (event.source.clone(), event.id.clone());
    let evaluated: EvaluationFinished = data(event)?;
    bounded("data.name", Some(&evaluated.name), NAME_BYTES_MAX)?;
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = match &evaluated.rollout_id {
        Some(id) => rows.rollout(id).await?,
        None => rows.rollout_of(&evaluated.tenant, &evaluated.model).await?,
    };
    let row = row.filter(|row| evaluated.is_about(&row.tenant, &row.model, &row.candidate)).ok_or_else(|| {
        let field = if evaluated.rollout_id.is_some() { "data.rollout_id" } else { "data.version" };
        Refusal::not_found(format!("model `{}` has no such rollout", evaluated.model)).field(field)
    })?;
    if row.stage.is_final() && !rows.is_settled(SCHEDULER, &source, &id).await? {
        let detail = format!("rollout {} is {}: nothing is added to it any more", row.id, row.stage);
        return Err(Refusal::conflict("refused", detail).rollout(&row.id));
    }
    Ok(Taken { message: Message::EvaluationFinished(evaluated), rollout_id: row.id, is_new: false })
}

/// The events of a request, each with its place in front of the names of its fields.
fn read(headers: &HeaderMap, bytes: &[u8]) -> Answer<Vec<(String, Event)>> {
    let attributes = attributes(headers)?;
    let media = attributes.get("content-type").map(|text| text.to_ascii_lowercase()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let one = |event: Result<Event, Malformed>| Ok(vec![(String::new(), event.map_err(|bad| malformed(&bad))?)]);
    match media.strip_suffix("+json").unwrap_or(media) {
        BATCH => {
            let events = Event::batch(bytes).map_err(|bad| malformed(&bad))?;
            let place = |at: usize| format!("[{at}].");
            let events = events.into_iter().enumerate();
            events.map(|(at, event)| Ok((place(at), event.map_err(|bad| malformed(&bad).within(&place(at)))?))).collect()
        }
        STRUCTURED => one(Event::structured(bytes)),
        "" | "application/json" if attributes.keys().any(|name| name.starts_with("ce-")) => {
            one(Event::binary(&attributes, bytes))
        }
        _ => Err(Refusal::unprocessable(
            "bad_event",
            format!("`{}` is no CloudEvent in JSON: send {STRUCTURED}+json, {BATCH}+json, or application/json with headers such as ce-id", media.escape_default()),
        )
        .field("Content-Type")),
    }
}

/// The headers that an event is read from; one that stands twice could be read as either.
fn attributes(headers: &HeaderMap) -> Answer<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        if name != "content-type" && !name.starts_with("ce-") {
            continue;
        }
        let bad = |what: &str| Refusal::unprocessable("bad_event", format!("the header {name} {what}")).field(name);
        let value = value.to_str().map_err(|_| bad("is not in visible ASCII: percent-encode it"))?;
        if attributes.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(bad("stands twice"));
        }
    }
    Ok(attributes)
}

fn malformed(bad: &Malformed) -> Refusal {
    let refusal = Refusal::unprocessable("bad_event", bad.to_string());
    match bad {
        Malformed::Missing(name) | Malformed::Attribute(name, _) => refusal.field(*name),
        Malformed::Data(_) => refusal.field("data"),
        Malformed::TooLarge(_) | Malformed::Json(_) => refusal,
    }
}

/// What an event says, with the tenant that it names.
fn data<T: DeserializeOwned>(event: Event) -> Answer<T> {
    let Value::Object(mut data) = event.data else {
        let detail = "data is no object such as {\"model\": …, \"version\": …}";
        return Err(Refusal::unprocessable("bad_event", detail).field("data"));
    };
    let tenant = event.tenant.clone().unwrap_or_else(|| Tenant::default().to_string());
    let named = data.entry("tenant").or_insert_with(|| tenant.into());
    if event.tenant.is_some_and(|tenant| *named != *tenant) {
        let detail = "data.tenant is another tenant than the attribute of the event";
        return Err(Refusal::unprocessable("bad_event", detail).field("data.tenant"));
    }
    typed(data.into()).map_err(|(detail, field)| {
        let field = field.map_or_else(|| "data".to_owned(), |field| format!("data.{field}"));
        Refusal::unprocessable("bad_event", detail).field(field)
    })
}
