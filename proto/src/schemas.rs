//! The published schemas, made from the types that are read: one for each message, one for policies, the HTTP API as OpenAPI, and
//! the bus as AsyncAPI. `./x schemas` writes them into `proto/schemas`; a test fails where they have fallen behind.

pub mod asyncapi;
mod calls;
mod event;
mod openapi;

use std::collections::BTreeMap;

use rollout::{Policy, PolicyName};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// All files of `proto/schemas` with their texts.
#[must_use]
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("policy.json".to_owned(), pretty(policy())),
        ("openapi.json".to_owned(), pretty(openapi::document())),
        ("asyncapi.yaml".to_owned(), serde_saphyr::to_string(&asyncapi::document()).unwrap_or_default()),
    ]);
    files.extend(event::schemas().into_iter().map(|(name, schema)| (format!("{name}.json"), pretty(schema))));
    files
}

/// Descriptions come from the code's comments, whose links lead nowhere outside.
fn without_links(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`").replace("crate::", "");
            }
            fields.values_mut().for_each(without_links);
        }
        Value::Array(items) => items.iter_mut().for_each(without_links),
        _ => {}
    }
}

fn pretty(mut value: Value) -> String {
    without_links(&mut value);
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema of a policy file.
fn policy() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Policy>();
    schema.insert("$id".to_owned(), json!("urn:tidegate:schema:policy:v1"));
    schema.insert("title".to_owned(), json!("Policy"));
    schema.to_value()
}

/// A policy in the body of a request, for its schema alone.
pub(crate) struct NameOrPolicy;

impl JsonSchema for NameOrPolicy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NameOrPolicy".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> Schema {
        let (name, policy) = (generator.subschema_for::<PolicyName>(), generator.subschema_for::<Policy>());
        schemars::json_schema!({"description": "A policy's name, or a whole policy.", "anyOf": [name, policy]})
    }
}
