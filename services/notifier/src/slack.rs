//! Slack: an incoming webhook, or an app that keeps one message for each rollout.

use chassis::Secret;
use hyper::header::{AUTHORIZATION, HeaderValue};
use rollout::At;
use serde_json::{Value, json};
use store::Delivery;

use crate::outbound::{Reply, Target, Unanswered, post};
use crate::sender::{Answer, sorted};

/// Errors of the API that may pass; every other one stays.
const PASSING: &[&str] =
    &["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"];

/// A workspace.
#[derive(Debug, Clone)]
pub(crate) enum Slack {
    /// A webhook, whose URL is the secret: it can neither update nor thread.
    Incoming(Target),
    /// An app with a token.
    App {
        /// Where Slack is.
        place: Target,
        /// Of the app.
        token: Secret,
        /// Where it writes.
        channel: String,
    },
}

impl Slack {
    /// Sends a message, or changes the one that `receipt` names.
    pub(crate) async fn send(&self, row: &Delivery, receipt: Option<&str>, now: At) -> Answer {
        let body = if row.is_unsure { repeated(row.body.clone()) } else { row.body.clone() };
        match self {
            Self::Incoming(target) => {
                let reply = post(target, &[], body.to_string().into_bytes(), now).await;
                sorted(reply, |text| text.replace(target.path(), "***"))
            }
            Self::App { place, token, channel } => {
                let call = Call { place, token, now };
                let there = receipt.and_then(|receipt| receipt.split_once('/'));
                if let Some((channel, ts)) = there {
                    let answer = call.say("chat.update", with(&body, &[("channel", channel), ("ts", ts)])).await;
                    // Somebody has deleted it: the rollout gets a new one.
                    if !matches!(&answer, Answer::Never { why } if why == "message_not_found") {
                        return answer;
                    }
                }
                call.say("chat.postMessage", with(&body, &[("channel", channel)])).await
            }
        }
    }
}

/// One call of the web API.
struct Call<'a> {
    place: &'a Target,
    token: &'a Secret,
    now: At,
}

impl Call<'_> {
    async fn say(&self, method: &str, body: Value) -> Answer {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", self.token.expose())).expect("a secret is one printable word");
        bearer.set_sensitive(true);
        let target = self.place.at(&format!("/api/{method}"));
        let reply = post(&target, &[(AUTHORIZATION, bearer)], body.to_string().into_bytes(), self.now).await;
        understood(reply, |text| self.token.hidden_in(text))
    }
}

/// The web API answers 200 to nearly everything; what happened is in the body.
fn understood(reply: Result<Reply, Unanswered>, hidden: impl Fn(&str) -> String) -> Answer {
    let Ok(Reply { status: 200, body, retry_after_ms }) = &reply else { return sorted(reply, hidden) };
    let answer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    if answer["ok"] == true {
        let place = (answer["channel"].as_str(), answer["ts"].as_str());
        let receipt = if let (Some(channel), Some(ts)) = place { Some(format!("{channel}/{ts}")) } else { None };
        return Answer::Sent { receipt };
    }
    let why = answer["error"].as_str().map_or_else(|| "the answer is not that of Slack".to_owned(), &hidden);
    if PASSING.contains(&why.as_str()) {
        Answer::Later { why, after_ms: *retry_after_ms, is_unsure: false }
    } else {
        Answer::Never { why }
    }
}

fn with(body: &Value, fields: &[(&str, &str)]) -> Value {
    let mut body = body.clone();
    for (name, value) in fields {
        body[*name] = json!(value);
    }
    body
}

/// Marked, since it may be there already.
fn repeated(mut body: Value) -> Value {
    let text = body["text"].as_str().map(|text| format!("(repeat) {text}"));
    body["text"] = json!(text);
    if let Some(blocks) = body["blocks"].as_array_mut() {
        let note = "repeat: no answer came the first time, so this may be here twice";
        blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": note }] }));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        understood(Ok(Reply { status: 200, retry_after_ms: None, body: body.to_owned() }), str::to_owned)
    }

    #[test]
    fn what_happened_is_in_the_body() {
        let there = answer(r#"{"ok": true, "channel": "C1", "ts": "1.2"}"#);
        assert_eq!(there, Answer::Sent { receipt: Some("C1/1.2".to_owned()) });
        assert_eq!(
            answer(r#"{"ok": false, "error": "invalid_auth"}"#),
            Answer::Never { why: "invalid_auth".to_owned() }
        );
        let later = Answer::Later { why: "ratelimited".to_owned(), after_ms: None, is_unsure: false };
        assert_eq!(answer(r#"{"ok": false, "error": "ratelimited"}"#), later);
        assert_eq!(answer("<html>"), Answer::Never { why: "the answer is not that of Slack".to_owned() });
    }

    #[test]
    fn a_repeat_says_so_in_text_and_blocks() {
        let body = repeated(json!({ "text": "back", "blocks": [] }));
        assert_eq!(body["text"], "(repeat) back");
        assert!(body["blocks"][0]["elements"][0]["text"].as_str().unwrap().starts_with("repeat: "));
    }
}
