//! What other systems say in the words of CDEvents (version 0.5): a finished run of a test suite is an evaluation of a candidate.
//!
//! A run knows nothing of our models, so whoever sends it says in its `customData` which `model` and `version`, or which
//! `rollout_id`, it was about; on the bus the model may stand in the subject alone.

use serde_json::{Map, Value, json};

use crate::envelope::{Event, Malformed};

/// The type of a finished run, in any of its versions.
pub const SUITE_FINISHED: &str = "dev.cdevents.testsuiterun.finished.";
const EVALUATED: &str = "dev.tidegate.evaluation.finished.v1";

impl Event {
    /// The event in our own words: another one for a finished run of a test suite, itself for everything else.
    ///
    /// # Errors
    /// [`Malformed`], when its payload is no such run.
    pub fn in_our_words(self) -> Result<Self, Malformed> {
        if !self.kind.starts_with(SUITE_FINISHED) {
            return Ok(self);
        }
        let bad = |what: &str| Malformed::Data(format!("no run of a test suite: {what}"));
        let content = self.data.pointer("/subject/content").ok_or_else(|| bad("`subject.content` is missing"))?;
        let text = |pointer: &str| self.data.pointer(pointer).and_then(Value::as_str);
        let outcome = match content.get("outcome").and_then(Value::as_str) {
            Some(same @ ("pass" | "fail")) => same,
            Some("cancel" | "error") => "error",
            _ => return Err(bad("`subject.content.outcome` is none of `pass`, `fail`, `cancel` and `error`")),
        };
        let name = ["/subject/content/testSuite/name", "/subject/content/testSuite/id", "/subject/id"];
        let name = name.into_iter().find_map(text).ok_or_else(|| bad("`subject.id` is missing"))?;
        let mut data = Map::new();
        for field in ["tenant", "model", "version", "rollout_id"] {
            data.extend(
                self.data.pointer(&format!("/customData/{field}")).map(|value| (field.to_owned(), value.clone())),
            );
        }
        if let Some(id) = &self.rollout_id {
            data.entry("rollout_id").or_insert_with(|| json!(id));
        }
        data.insert("name".to_owned(), json!(name));
        data.insert("outcome".to_owned(), json!(outcome));
        data.insert("evidence".to_owned(), json!({"run": text("/subject/id"), "content": content}));
        Ok(Self { kind: EVALUATED.to_owned(), data: Value::Object(data), ..self })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Event;
    use crate::message::Message;

    /// A run as the examples of the specification have it.
    fn run(content: &Value, custom: &Value) -> Event {
        let data = json!({
            "context": {"version": "0.5.0", "id": "271069a8", "source": "/ci/evals", "timestamp": "2026-11-20T14:27:05Z",
                "type": "dev.cdevents.testsuiterun.finished.0.3.0"},
            "subject": {"id": "run-81", "source": "/ci/evals", "content": content},
            "customData": custom,
        });
        let event = json!({"specversion": "1.0", "id": "271069a8", "source": "/ci/evals", "data": data,
            "type": "dev.cdevents.testsuiterun.finished.0.3.0"});
        Event::structured(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_finished_suite_is_an_evaluation_with_its_whole_content_as_evidence() {
        let content = json!({"outcome": "fail", "severity": "high", "reason": "toxicity", "environment": {"id": "staging"},
            "testSuite": {"id": "safety", "name": "safety rubric 3"}});
        let ours = run(&content, &json!({"model": "chat", "version": "2"})).in_our_words().unwrap();
        assert_eq!((ours.kind.as_str(), ours.id.as_str()), ("dev.tidegate.evaluation.finished.v1", "271069a8"));
        assert_eq!(
            ours.data,
            json!({"model": "chat", "version": "2", "name": "safety rubric 3", "outcome": "fail",
                "evidence": {"run": "run-81", "content": content}})
        );
    }

    #[test]
    fn on_the_bus_the_subject_may_say_which_model() {
        let event = run(&json!({"outcome": "pass"}), &json!({"version": "2"}));
        let message = Message::read("tg.in.default.chat.evaluation.finished", event).unwrap();
        let Message::EvaluationFinished(evaluated) = message else { panic!("{message:?}") };
        assert_eq!((evaluated.model.as_str(), evaluated.version.unwrap().as_str()), ("chat", "2"));
    }

    #[test]
    fn a_run_that_was_cancelled_or_failed_says_nothing_about_the_candidate() {
        for outcome in ["cancel", "error"] {
            let ours = run(&json!({"outcome": outcome}), &json!({"rollout_id": "r1"})).in_our_words().unwrap();
            assert_eq!((&ours.data["outcome"], &ours.data["name"]), (&json!("error"), &json!("run-81")));
        }
    }

    #[test]
    fn what_is_no_run_is_refused_with_its_place_and_everything_else_is_left_alone() {
        let refused = |content: &Value| run(content, &Value::Null).in_our_words().unwrap_err().to_string();
        assert!(refused(&json!({"outcome": "success"})).contains("`subject.content.outcome`"));
        assert!(refused(&json!({})).contains("`subject.content.outcome`"));
        let other = Event { kind: "dev.tidegate.version.promote.v1".to_owned(), ..run(&json!({}), &Value::Null) };
        assert_eq!(other.clone().in_our_words(), Ok(other));
    }
}
