//! The published schemas: made from the code, true to what was ever said, and to what the API answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use proto::schemas::{asyncapi, files};
use proto::{Event, Message};
use rollout::{Model, Policy, PolicyName, RolloutId, Tenant, Version};
use serde_json::{Value, json};

use crate::house::{House, Upstream};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("proto")
}

fn published(name: &str) -> Value {
    let text =
        std::fs::read_to_string(folder().join("schemas").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if name.ends_with(".yaml") { serde_saphyr::from_str(&text).unwrap() } else { serde_json::from_str(&text).unwrap() }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(schema).unwrap()
}

fn follows(validator: &Validator, what: &str, value: &Value) {
    let wrong: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what} does not follow its schema: {wrong:#?}");
}

#[test]
fn the_published_schemas_are_those_of_the_code() {
    let mut stale = BTreeSet::new();
    let made = files();
    for (name, text) in &made {
        if std::fs::read_to_string(folder().join("schemas").join(name)).ok().as_ref() != Some(text) {
            stale.insert(name.clone());
        }
    }
    for there in std::fs::read_dir(folder().join("schemas")).unwrap() {
        let name = there.unwrap().file_name().into_string().unwrap();
        if !made.contains_key(&name) {
            stale.insert(name);
        }
    }
    assert!(stale.is_empty(), "these differ from the code: run ./x schemas and commit what it writes: {stale:?}");
}

#[test]
fn every_frozen_sample_follows_its_schema_and_goes_on_a_subject_of_the_document() {
    let document = published("asyncapi.yaml");
    for name in Message::NAMES {
        let sample = std::fs::read_to_string(folder().join(format!("samples/v1/{name}.json"))).unwrap();
        let value: Value = serde_json::from_str(&sample).unwrap();
        let schema = validator(&published(&format!("{name}.json")));
        follows(&schema, name, &value);
        let mut later = value.clone();
        later["laterattribute"] = json!("x");
        later["data"]["later_field"] = json!([1]);
        follows(&schema, name, &later);
        for field in ["id", "source", "type", "specversion", "data"] {
            let mut cut = value.clone();
            cut.as_object_mut().unwrap().remove(field);
            assert!(!schema.is_valid(&cut), "{name} without {field}");
        }
        let event = Event::structured(sample.as_bytes()).unwrap();
        let lane = asyncapi::lanes(name).iter().find_map(|lane| {
            let about = |field: &str| event.data[field].as_str().map_or_else(|| "_".to_owned(), proto::subject::escape);
            let subject = format!("tg.{}.{}.{}.{name}", lane.token(), about("tenant"), about("model"));
            let message = Message::read(&subject, event.clone()).ok()?;
            Some(message.lane())
        });
        let lane = lane.unwrap_or_else(|| panic!("{name} is readable on none of its lanes"));
        let address = format!("tg.{}.{{tenant}}.{{model}}.{name}", lane.token());
        assert_eq!(document["channels"][format!("{}.{name}", lane.token())]["address"], json!(address));
    }
}

#[test]
fn shipped_policies_follow_their_schema_and_broken_ones_do_not() {
    let schema = validator(&published("policy.json"));
    for name in Policy::PRESETS {
        let policy: Value = serde_saphyr::from_str(Policy::preset(name).unwrap()).unwrap();
        follows(&schema, name, &policy);
        // As it is stored and shown.
        let stored = serde_json::to_value(Policy::from_yaml(Policy::preset(name).unwrap()).unwrap()).unwrap();
        follows(&schema, &format!("{name} as it is stored"), &stored);
    }
    let sre = json!({"steps": [{"name": "a", "weight": 0.05, "duration_seconds": 30, "analysis": [], "manual_gate": true}, {"split": 100}]});
    follows(&schema, "steps of agent-sre", &sre);
    assert!(Policy::from_yaml(&sre.to_string()).is_ok());
    let all = json!({"split": 100, "dwell": "0s"});
    let with = |step: Value| json!({"name": "p", "steps": [step, all]});
    let check = |check: Value| json!({"name": "p", "steps": [{"split": 5, "dwell": "1m"}, all], "checks": [check]});
    let broken = [
        json!({"name": "p", "stepps": [all]}),
        with(json!({"split": 500, "dwell": "1m"})),
        with(json!({"split": 5, "dwell": "soon"})),
        with(json!({"split": 5, "weight": 0.05, "dwell": "1m"})),
        with(json!({"dwell": "1m"})),
        check(json!({"metric": "error_rate", "rules": {"above": 0.1}})),
        check(json!({"metric": "error_rate"})),
        json!({"name": "p", "steps": [all], "when_live": "perhaps"}),
    ];
    for policy in broken {
        assert!(!schema.is_valid(&policy), "{policy}");
        assert!(Policy::from_yaml(&policy.to_string()).is_err(), "{policy}");
    }
}

/// Every `$ref` anywhere in it.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_in_the_documents_resolves() {
    for (name, _) in files() {
        let document = published(&name);
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            match reference.strip_prefix('#') {
                Some(pointer) => assert!(document.pointer(pointer).is_some(), "{name}: {reference}"),
                None => assert!(folder().join("schemas").join(reference).is_file(), "{name}: {reference}"),
            }
        }
    }
}

#[test]
fn every_route_that_is_served_is_documented_and_the_other_way_round() {
    let root = folder().parent().unwrap().to_owned();
    let code = ["services/api/src/lib.rs", "services/api/src/pages.rs", "crates/chassis/src/admin.rs"];
    let text: String = code.iter().map(|file| std::fs::read_to_string(root.join(file)).unwrap()).collect();
    let mut served = BTreeSet::new();
    for piece in text.split(".route(").skip(1) {
        let (_, rest) = piece.split_once('"').unwrap();
        let (path, rest) = rest.split_once('"').unwrap();
        let handlers = rest.split("\n        .").next().unwrap();
        for method in ["get", "post", "put", "delete"] {
            if handlers.contains(&format!("{method}(")) {
                served.insert(format!("{method} {path}"));
            }
        }
    }
    let document = published("openapi.json");
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, calls)| calls.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    // Pages for people are no calls.
    let served: BTreeSet<String> = served.into_iter().filter(|call| !is_page(call)).collect();
    assert_eq!(served, documented, "add the call to proto/src/schemas/calls and run ./x schemas");
}

fn is_page(call: &str) -> bool {
    ["get /", "get /api", "get /rollouts/{id}"].contains(&call) || call.starts_with("get /assets/")
}

#[test]
fn the_patterns_of_names_are_their_grammars() {
    let text =
        ["", "a", "A", "9", "-", ".", "_", "/", "@", "+", " ", "\u{e9}", "a..b", "a//b", "a/b", "1.4.0+cu12", "acme-1"];
    let long: Vec<String> = [31, 32, 33, 63, 64, 65, 95, 96, 97].iter().map(|length| "a".repeat(*length)).collect();
    let id = RolloutId::of("/ci", "1").to_string();
    let texts: Vec<String> = text
        .iter()
        .flat_map(|one| text.iter().map(move |other| format!("{one}{other}")))
        .chain(long)
        .chain([id.clone(), id.replace(&id[1..2], "u"), format!("{id}0"), "a\n".to_owned()])
        .collect();
    let document = published("openapi.json");
    let pattern = |name: &str| validator(&document["components"]["schemas"][name]);
    let schemas = ["Tenant", "Model", "Version", "RolloutId", "PolicyName"].map(pattern);
    for text in texts {
        let value = json!(text);
        let read = [
            Tenant::new(&*text).is_ok(),
            Model::new(&*text).is_ok(),
            Version::new(&*text).is_ok(),
            RolloutId::new(&*text).is_ok(),
            PolicyName::new(&*text).is_ok(),
        ];
        assert_eq!(schemas.each_ref().map(|schema| schema.is_valid(&value)), read, "{text:?}");
    }
}

/// What the document says that a call answers.
fn answered(document: &Value, call: &str, status: u16) -> Validator {
    let (method, path) = call.split_once(' ').unwrap();
    let mut answer = &document["paths"][path][method]["responses"][status.to_string()];
    if let Some(reference) = answer["$ref"].as_str() {
        answer = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let (_, content) = answer["content"]
        .as_object()
        .and_then(|content| content.iter().next())
        .unwrap_or_else(|| panic!("{call} {status}"));
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    validator(&schema)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_answers_follows_its_document() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    let (status, document) = house.get("/openapi.json").await;
    assert_eq!((status, &document), (200, &published("openapi.json")));
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let quick = json!({"steps": [{"split": 50, "dwell": "10m"}, {"split": 100}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.5}}]});
    let id = house.promote("reranker", "2", &json!({ "policy": quick })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let reads = [
        ("get /v1/models", "/v1/models".to_owned(), 200),
        ("get /v1/models/{model}", "/v1/models/reranker".to_owned(), 200),
        ("get /v1/models/{model}", "/v1/models/nobody".to_owned(), 404),
        ("get /v1/registry/{model}/versions", "/v1/registry/reranker/versions".to_owned(), 200),
        ("get /v1/registry/{model}/promotions", "/v1/registry/reranker/promotions".to_owned(), 200),
        ("get /v1/policies", "/v1/policies".to_owned(), 200),
        ("get /v1/policies/{name}", "/v1/policies/starter".to_owned(), 200),
        ("get /v1/rollouts", "/v1/rollouts".to_owned(), 200),
        ("get /v1/rollouts", "/v1/rollouts?limit=0".to_owned(), 422),
        ("get /v1/rollouts/{id}", format!("/v1/rollouts/{id}"), 200),
        ("get /v1/rollouts/{id}/history", format!("/v1/rollouts/{id}/history"), 200),
        ("get /v1/parked", "/v1/parked".to_owned(), 200),
    ];
    for (call, path, expected) in reads {
        let (status, answer) = house.get(&path).await;
        assert_eq!(status, expected, "{path}: {answer}");
        follows(&answered(&document, call, status), &path, &answer);
    }
    for (body, expected) in [(json!({"reason": "by hand"}), 200), (json!({"why": 1}), 422)] {
        let (status, answer) = house.post(&format!("/v1/rollouts/{id}/rollback"), &body).await;
        assert_eq!(status, expected, "{answer}");
        follows(&answered(&document, "post /v1/rollouts/{id}/{verb}", status), "rollback", &answer);
    }
}
