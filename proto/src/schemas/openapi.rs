//! The HTTP API as OpenAPI 3.1, whose schemas are those of the bodies.

use std::collections::BTreeMap;

use rollout::Policy;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::calls::{self, Call, Content, Parameter};
use crate::http::{Problem, RolloutFact};
use crate::messages::{EvaluationFinished, VersionPromote};

/// The whole document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    // These are named by no body: one comes with every refusal, the other in the stream of events.
    generator.subschema_for::<Problem>();
    generator.subschema_for::<RolloutFact>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for call in calls::all() {
        let path = paths.entry(call.path).or_default();
        path.insert(call.method.to_owned(), operation(call, &mut generator));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Rolls new versions of models out to real traffic, step by step, and takes the traffic back when the evidence is bad.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": generator.take_definitions(true), "responses": {"Problem": problem()}},
    })
}

fn operation(call: &Call, generator: &mut SchemaGenerator) -> Value {
    let in_path = call.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .chain(call.parameters.iter().map(parameter))
        .collect();
    let mut operation = json!({
        "operationId": call.id,
        "summary": call.does,
        "tags": [call.group],
        "responses": answers(call, generator),
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &call.body {
        operation["requestBody"] = json!({"required": call.is_body_required, "content": content(body, generator)});
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let Parameter { place, name, kind, does } = parameter;
    json!({"name": name, "in": place, "description": does, "schema": {"type": kind}})
}

fn answers(call: &Call, generator: &mut SchemaGenerator) -> Value {
    let mut answers = Map::new();
    for (status, does, body) in call.answers {
        let mut answer = json!({"description": does});
        if let Some(body) = body {
            answer["content"] = content(body, generator);
        }
        answers.insert(status.to_string(), answer);
    }
    for status in call.refusals {
        answers.insert(status.to_string(), json!({"$ref": "#/components/responses/Problem"}));
    }
    // What any call may meet before it is looked at: too large, too slow, too many.
    answers.insert("default".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
    answers.into()
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema) => json!({"application/json": {"schema": schema(generator)}}),
        Content::Policy => {
            let schema = generator.subschema_for::<Policy>();
            json!({"application/yaml": {"schema": schema}, "application/json": {"schema": schema}})
        }
        Content::Events => {
            let said = [
                ("dev.tidegate.version.promote.v1", generator.subschema_for::<VersionPromote>()),
                ("dev.tidegate.evaluation.finished.v1", generator.subschema_for::<EvaluationFinished>()),
            ];
            let run = json!({"type": "object", "required": ["subject"]});
            let suite = json!({"type": "string", "pattern": "^dev\\.cdevents\\.testsuiterun\\.finished\\."});
            let mut events =
                said.each_ref().map(|(kind, data)| event(json!({"const": kind}), data.as_value())).to_vec();
            events.push(event(suite, &run));
            let event = json!({"oneOf": events});
            json!({
                "application/cloudevents+json": {"schema": event},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": event}},
                "application/json": {"schema": {"anyOf": [said[0].1, said[1].1, run]}},
            })
        }
        Content::Other(media) => json!({*media: {"schema": {"type": "string"}}}),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for the call")]
fn event(kind: Value, data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string"},
            "source": {"type": "string"},
            "type": kind,
            "data": data,
        },
    })
}

fn problem() -> Value {
    json!({
        "description": "What was asked, what stopped it, and what to try.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}
