//! The schema of each message: its envelope, with the payload of its type.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::message::{Message, Payload};

/// Messages of other systems: their subject says whose model they are about, so that the payload need not.
const FROM_OUTSIDE: &[&str] = &["version.promote"];

/// The schema of each message by its name.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    Message::PAYLOADS.iter().map(|payload| (payload.0, schema(payload))).collect()
}

fn schema((name, summary, payload): &Payload) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let data = payload(&mut generator).to_value();
    let mut definitions = generator.take_definitions(true);
    if FROM_OUTSIDE.contains(name) {
        definitions.values_mut().for_each(let_subject_say);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:tidegate:schema:{name}:v1"),
        "title": name,
        "description": summary.trim(),
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"description": "Unique within its source; the same message again has the same one.", "type": "string", "minLength": 1, "maxLength": 512},
            "source": {"description": "Who says it.", "type": "string", "minLength": 1, "maxLength": 512},
            "type": {"const": format!("dev.tidegate.{name}.v1")},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"description": "The model.", "type": "string"},
            "datacontenttype": {"const": "application/json"},
            "tenant": {"type": "string"},
            "rolloutid": {"type": "string"},
            "attempt": {"type": ["integer", "string"]},
            "traceparent": {"type": "string"},
            "tracestate": {"type": "string"},
            "data": data,
        },
        "required": ["specversion", "id", "source", "type", "data"],
        "$defs": definitions,
    })
}

fn let_subject_say(body: &mut Value) {
    if let Some(Value::Array(required)) = body.get_mut("required") {
        required.retain(|field| !matches!(field.as_str(), Some("tenant" | "model")));
    }
}
