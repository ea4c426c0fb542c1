//! The bus as AsyncAPI 3.0: a channel for each subject, whose message is one of the schemas.

use serde_json::{Map, Value, json};

use crate::Lane;
use crate::message::{Message, Payload};

/// The lanes that a message may go on.
#[must_use]
pub fn lanes(name: &str) -> &'static [Lane] {
    match name {
        "version.promote" | "evaluation.finished" => &[Lane::In, Lane::Cmd],
        "split.apply" | "split.applied" | "split.failed" | "verdict.reached" => &[Lane::Normal, Lane::Urgent],
        "workload.failed" | "route.expired" | "route.drifted" => &[Lane::Urgent],
        "workload.start" | "workload.ready" | "analysis.run" => &[Lane::Normal],
        "rollout.moved" | "rollout.waiting" => &[Lane::News],
        "version.registered" | "version.refused" | "version.activated" | "version.retired" => &[Lane::News],
        "requests.counted" | "outcome.observed" => &[Lane::Obs],
        _ => &[Lane::Cmd],
    }
}

/// The whole document.
pub(super) fn document() -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for payload @ (name, ..) in Message::PAYLOADS {
        messages.insert((*name).to_owned(), message(payload));
        for lane in lanes(name) {
            let channel = format!("{}.{name}", lane.token());
            // What comes in from other systems is received; everything else Tidegate says itself.
            let action = if *lane == Lane::In { "receive" } else { "send" };
            operations.insert(
                format!("{action}.{channel}"),
                json!({"action": action, "channel": {"$ref": format!("#/channels/{channel}")}}),
            );
            channels.insert(channel, subject(*lane, name));
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegate: messages",
            "version": "1",
            "license": {"name": "Apache-2.0"},
            "description": "CloudEvents 1.0.2 in JSON. A message only gains fields: readers ignore those that they do not know. Each may arrive twice, late, and after its successor; source and id say which it is.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    })
}

fn message((name, summary, _): &Payload) -> Value {
    json!({
        "name": format!("dev.tidegate.{name}.v1"),
        "title": name,
        "summary": summary.trim(),
        "contentType": "application/cloudevents+json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": format!("./{name}.json")},
        },
    })
}

fn subject(lane: Lane, name: &str) -> Value {
    json!({
        "address": format!("tg.{}.{{tenant}}.{{model}}.{name}", lane.token()),
        "parameters": {
            "tenant": {"description": "Whose model; escaped, `_` where no tenant is meant."},
            "model": {"description": "The model: letters, digits and `-` as they are, any other byte as `_` and two hex digits; `_` where no model is meant."},
        },
        "messages": {name: {"$ref": format!("#/components/messages/{name}")}},
    })
}
