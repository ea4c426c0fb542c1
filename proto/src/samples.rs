//! The frozen samples: what an older release has said must be understood for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::subject::escape;
use crate::{Event, Message};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/v1")
}

/// The samples by the name of their message.
fn samples() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".json").unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Decodes a sample. Which lane it came on does not matter here.
fn read(sample: &str) -> Message {
    let event = Event::structured(sample.as_bytes()).unwrap();
    let name = event.kind.strip_prefix("dev.tidegate.").unwrap().strip_suffix(".v1").unwrap().to_owned();
    let about = |field: &str| event.data.get(field).and_then(Value::as_str).map_or_else(|| "_".to_owned(), escape);
    Message::read(&format!("tg.cmd.{}.{}.{name}", about("tenant"), about("model")), event).unwrap()
}

#[test]
fn each_message_has_one_sample_and_each_sample_its_message() {
    let names: BTreeSet<_> = Message::NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(samples().into_keys().collect::<BTreeSet<_>>(), names);
}

#[test]
fn each_sample_decodes_on_the_subject_of_its_message() {
    for (name, sample) in samples() {
        let message = read(&sample);
        assert_eq!(message.name(), name);
        let event = Event::structured(sample.as_bytes()).unwrap();
        assert_eq!(Message::read(&message.subject().to_string(), event), Ok(message));
    }
}

#[test]
fn nothing_of_a_sample_is_lost_on_the_way_through() {
    for (name, sample) in samples() {
        let event = Event::structured(sample.as_bytes()).unwrap();
        let stamp = crate::Stamp {
            id: event.id.clone(),
            source: event.source.clone(),
            at: event.time.unwrap(),
            traceparent: event.traceparent.as_deref(),
        };
        let again = Event { tracestate: event.tracestate.clone(), ..read(&sample).event(&stamp) };
        let fields = |event: &Event| serde_json::from_str::<BTreeMap<String, Value>>(&event.to_json()).unwrap();
        let (was, is) = (fields(&event), fields(&again));
        assert!(
            was.iter().filter(|(field, _)| *field != "data").all(|(field, value)| is.get(field) == Some(value)),
            "{name}"
        );
        for (field, value) in event.data.as_object().unwrap() {
            assert_eq!(again.data.get(field), Some(value), "{name}: {field}");
        }
    }
}

#[test]
fn fields_that_only_a_later_release_knows_are_ignored() {
    for (name, sample) in samples() {
        let mut later: Value = serde_json::from_str(&sample).unwrap();
        later["laterattribute"] = json!("x");
        later["data"]["later_field"] = json!({ "nested": [1, null] });
        assert_eq!(read(&later.to_string()), read(&sample), "{name}");
    }
}
