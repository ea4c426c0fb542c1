//! The calls of the API for people, made from its document.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::frame;
use crate::OPENAPI;

pub(super) async fn page() -> Response {
    let document: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
    let body = html! {
        h1 { "API" }
        p.soft {
            "JSON over HTTP; errors are problem documents that say what was asked, what stopped it, and what to try. "
            a href="/openapi.json" { "openapi.json" } " is the same for programs."
        }
        @for group in groups(&document) { h2 { (group) } (calls(&document, &group)) }
    };
    frame::page(StatusCode::OK, "API", None, &body)
}

/// Each call with its method and path.
fn each(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, calls)| {
        let calls: Option<&Map<String, Value>> = calls.as_object();
        calls.into_iter().flatten().map(move |(method, call)| (method.as_str(), path.as_str(), call))
    })
}

fn group_of(call: &Value) -> &str {
    call["tags"][0].as_str().unwrap_or("other")
}

/// Those that most people want come first.
fn groups(document: &Value) -> Vec<String> {
    let mut groups: Vec<String> =
        ["models", "rollouts", "policies", "events", "parked"].map(str::to_owned).into_iter().collect();
    for (.., call) in each(document) {
        let group = group_of(call).to_owned();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn calls(document: &Value, group: &str) -> Markup {
    html! {
        table.cards.calls {
            tbody { @for (method, path, call) in each(document).filter(|(.., call)| group_of(call) == group) { tr {
                td data-label="Call" { span.method { (method) } code { (path) } }
                td data-label="Does" { (call["summary"].as_str().unwrap_or_default()) (parameters(call)) }
                td.small.soft data-label="Answers" { (statuses(call)) }
            } } }
        }
    }
}

fn parameters(call: &Value) -> Markup {
    let all = call["parameters"].as_array().into_iter().flatten();
    html! {
        @for parameter in all.filter(|parameter| parameter["in"] != "path") {
            div.small.soft {
                code { (parameter["name"].as_str().unwrap_or_default()) } " " (parameter["description"].as_str().unwrap_or_default())
            }
        }
    }
}

fn statuses(call: &Value) -> String {
    let all = call["responses"].as_object().into_iter().flatten().map(|(status, _)| status.as_str());
    all.filter(|status| *status != "default").collect::<Vec<_>>().join(" ")
}
