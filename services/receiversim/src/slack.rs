//! Messages of Slack: a top-level text, and blocks within their limits.

use serde_json::Value;

use crate::fields::Fields;

/// The problems of a message.
pub(crate) fn message(body: &Value) -> Vec<String> {
    let mut problems =
        Fields::of("message", body).only(&["text", "blocks", "channel", "ts"]).text("text", 40_000).problems;
    let blocks = body["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if blocks.len() > 50 {
        problems.push(format!("{} blocks", blocks.len()));
    }
    problems.extend(blocks.iter().flat_map(block));
    let mut texts = Vec::new();
    texts_of(body, &mut texts);
    problems.extend(texts.into_iter().filter(|text| !is_escaped(text)).map(|text| format!("not escaped: {text}")));
    problems
}

fn block(block: &Value) -> Vec<String> {
    let list = |name: &str, most: usize| -> (Vec<Value>, Vec<String>) {
        let items = block[name].as_array().cloned().unwrap_or_default();
        let problems = if items.len() > most { vec![format!("{} {name}", items.len())] } else { Vec::new() };
        (items, problems)
    };
    match block["type"].as_str() {
        Some("header") => text(&block["text"], &["plain_text"], 150),
        Some("section") => {
            let (fields, mut problems) = list("fields", 10);
            problems.extend(fields.iter().flat_map(|field| text(field, &["mrkdwn", "plain_text"], 2_000)));
            if block.get("text").is_some() {
                problems.extend(text(&block["text"], &["mrkdwn", "plain_text"], 3_000));
            } else if fields.is_empty() {
                problems.push("a section has a text or fields".to_owned());
            }
            problems
        }
        Some("context") => {
            let (elements, mut problems) = list("elements", 10);
            problems.extend(elements.iter().flat_map(|element| text(element, &["mrkdwn", "plain_text"], 2_000)));
            problems
        }
        Some("actions") => list("elements", 25).1,
        Some("divider") => Vec::new(),
        other => vec![format!("a block of type {other:?}")],
    }
}

fn text(value: &Value, kinds: &[&str], chars: usize) -> Vec<String> {
    Fields::of("text", value).word("type", kinds).text("text", chars).problems
}

/// Every text that Slack reads as markup.
fn texts_of<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "text" => texts.push(text),
                    value => texts_of(value, texts),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        _ => {}
    }
}

fn is_escaped(text: &str) -> bool {
    let without = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
    !without.contains(['&', '<', '>'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_good_message_is_taken_and_what_breaks_a_limit_is_refused() {
        let section = |text: &str| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
        let header = |text: &str| json!({ "type": "header", "text": { "type": "plain_text", "text": text } });
        let with = |block: Value| message(&json!({ "text": "t", "blocks": [block] }));
        assert_eq!(with(section("a &lt; b")), Vec::<String>::new());
        assert_eq!(with(header(&"ä".repeat(150))), Vec::<String>::new());
        let bad = [
            section("a < b"),
            section("a & b"),
            section(&"x".repeat(3_001)),
            header(&"x".repeat(151)),
            json!({ "type": "section", "fields": vec![json!({ "type": "mrkdwn", "text": "x" }); 11] }),
            json!({ "type": "table" }),
        ];
        for block in bad {
            assert!(!with(block.clone()).is_empty(), "{block}");
        }
        assert!(!message(&json!({ "blocks": [] })).is_empty());
        assert!(!message(&json!({ "text": "t", "blocks": vec![section("x"); 51] })).is_empty());
    }
}
