//! Events API version 2: what is refused with 400.

use serde_json::Value;

use crate::fields::Fields;

/// The problems of an alert.
pub(crate) fn alert(body: &Value) -> Vec<String> {
    let known = ["routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"];
    let mut problems = Fields::of("event", body)
        .only(&known)
        .text("routing_key", 32)
        .word("event_action", &["trigger", "acknowledge", "resolve"])
        .text_or_none("dedup_key", 255)
        .text_or_none("client", 255)
        .problems;
    if body["event_action"] == "trigger" || body.get("payload").is_some() {
        let known = ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
        let payload = Fields::of("payload", &body["payload"])
            .only(&known)
            .text("summary", 1_024)
            .text("source", 255)
            .word("severity", &["critical", "error", "warning", "info"])
            .instant_or_none("timestamp")
            .text_or_none("component", 255)
            .text_or_none("group", 255)
            .text_or_none("class", 255);
        problems.extend(payload.problems);
    }
    if body["event_action"] != "trigger" && body.get("dedup_key").is_none() {
        problems.push("event.dedup_key is missing".to_owned());
    }
    problems.extend(links(body));
    problems
}

/// The problems of a change event, which knows neither actions nor severities.
pub(crate) fn change(body: &Value) -> Vec<String> {
    let mut problems = Fields::of("change", body)
        .only(&["routing_key", "payload", "links", "images"])
        .text("routing_key", 32)
        .problems;
    let payload = Fields::of("payload", &body["payload"])
        .only(&["summary", "source", "timestamp", "custom_details"])
        .text("summary", 1_024)
        .text_or_none("source", 255)
        .instant_or_none("timestamp");
    problems.extend(payload.problems);
    problems.extend(links(body));
    problems
}

fn links(body: &Value) -> Vec<String> {
    let links = body.get("links").and_then(Value::as_array).into_iter().flatten();
    links.flat_map(|link| Fields::of("link", link).only(&["href", "text"]).text("href", 2_048).problems).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trigger() -> Value {
        json!({
            "routing_key": "0123456789abcdef0123456789abcdef", "event_action": "trigger", "dedup_key": "k",
            "payload": { "summary": "s", "source": "x", "severity": "critical", "timestamp": "2026-01-31T12:00:00Z" },
        })
    }

    #[test]
    fn a_good_alert_is_taken_and_each_broken_field_is_named() {
        assert_eq!(alert(&trigger()), Vec::<String>::new());
        let table = [
            ("/event_action", json!("open"), "event.event_action"),
            ("/dedup_key", json!("k".repeat(256)), "event.dedup_key"),
            ("/routing_key", json!(""), "event.routing_key"),
            ("/payload/summary", json!("s".repeat(1_025)), "payload.summary"),
            ("/payload/severity", json!("fatal"), "payload.severity"),
            ("/payload/source", json!(null), "payload.source"),
            ("/payload/timestamp", json!("today"), "payload.timestamp"),
            ("/payload", json!({}), "payload.summary"),
        ];
        for (pointer, value, named) in table {
            let mut body = trigger();
            *body.pointer_mut(pointer).unwrap() = value;
            assert!(alert(&body).iter().any(|problem| problem.contains(named)), "{named}: {:?}", alert(&body));
        }
        assert!(!alert(&json!({ "routing_key": "k", "event_action": "resolve" })).is_empty());
        assert!(!change(&trigger()).is_empty());
    }
}
