//! What has to be done about a stream or a consumer, from what is there and what is wanted. Settings that are not ours stay.

use async_nats::jetstream::consumer::{self, pull};
use async_nats::jetstream::stream::Config;
use serde::Serialize;
use serde_json::{Map, Value};

/// What is to be done about a thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Make,
    Change(String),
    Keep,
}

/// What is to be done about a stream, and how it is then; settings that are not ours stay as they are.
pub(super) fn stream_step(there: Option<&Config>, wanted: Config) -> Result<(Config, Step), String> {
    let Some(there) = there else { return Ok((wanted, Step::Make)) };
    let name = &there.name;
    if there.retention != wanted.retention || there.storage != wanted.storage {
        return Err(format!("{name} was made by something else: its retention and storage can't be changed"));
    }
    let smaller = [
        ("max_bytes", is_smaller(there.max_bytes, wanted.max_bytes)),
        ("max_age", !wanted.max_age.is_zero() && (there.max_age.is_zero() || there.max_age > wanted.max_age)),
        ("max_msg_size", is_smaller(there.max_message_size.into(), wanted.max_message_size.into())),
        ("num_replicas", there.num_replicas > wanted.num_replicas),
        ("subjects", there.subjects.iter().any(|subject| !wanted.subjects.contains(subject))),
    ];
    if let Some((field, _)) = smaller.iter().find(|(_, is_so)| *is_so) {
        let change = difference(there, &wanted, &[field]);
        return Err(format!("{name} would shrink, which loses messages: {change}"));
    }
    let fit = Config {
        subjects: wanted.subjects,
        discard: wanted.discard,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        max_messages: wanted.max_messages,
        max_messages_per_subject: wanted.max_messages_per_subject,
        max_message_size: wanted.max_message_size,
        duplicate_window: wanted.duplicate_window,
        num_replicas: wanted.num_replicas,
        deny_delete: wanted.deny_delete,
        deny_purge: wanted.deny_purge,
        allow_rollup: wanted.allow_rollup,
        allow_direct: wanted.allow_direct,
        ..there.clone()
    };
    let step = if fit == *there { Step::Keep } else { Step::Change(difference(there, &fit, &[])) };
    Ok((fit, step))
}

pub(super) fn consumer_step(
    there: Option<consumer::Config>,
    wanted: pull::Config,
) -> Result<(pull::Config, Step), String> {
    let Some(there) = there else { return Ok((wanted, Step::Make)) };
    let name = wanted.durable_name.clone().unwrap_or_default();
    let Ok(there) = <pull::Config as consumer::FromConsumer>::try_from_consumer_config(there) else {
        return Err(format!("{name} was made by something else: messages are pushed to it"));
    };
    if there.deliver_policy != wanted.deliver_policy || there.ack_policy != wanted.ack_policy {
        return Err(format!("{name} was made by something else: its delivery can't be changed"));
    }
    let fit = pull::Config {
        filter_subject: wanted.filter_subject,
        filter_subjects: wanted.filter_subjects,
        ack_wait: wanted.ack_wait,
        max_ack_pending: wanted.max_ack_pending,
        max_deliver: wanted.max_deliver,
        backoff: Vec::new(),
        ..there.clone()
    };
    let step = if fit == there { Step::Keep } else { Step::Change(difference(&there, &fit, &[])) };
    Ok((fit, step))
}

/// Below nothing means no limit.
const fn is_smaller(there: i64, wanted: i64) -> bool {
    wanted > 0 && (there <= 0 || there > wanted)
}

/// `field there → wanted` for each field that differs, or for those asked for.
fn difference(there: &impl Serialize, wanted: &impl Serialize, fields: &[&str]) -> String {
    let (there, wanted) = (object(there), object(wanted));
    let differs = wanted.iter().filter(|(field, value)| there.get(*field) != Some(value));
    let asked = differs.filter(|(field, _)| fields.is_empty() || fields.contains(&field.as_str()));
    let lines = asked.map(|(field, value)| format!("{field} {} → {value}", there.get(field).unwrap_or(&Value::Null)));
    lines.collect::<Vec<_>>().join(", ")
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bus::jet_stream::streams::{STREAMS, Size};

    fn wanted(size: Size) -> Config {
        STREAMS[0].config(size, 1)
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_as_wanted_is_kept() {
        assert_eq!(stream_step(None, wanted(Size::Full)), Ok((wanted(Size::Full), Step::Make)));
        assert_eq!(stream_step(Some(&wanted(Size::Full)), wanted(Size::Full)).unwrap().1, Step::Keep);
    }

    #[test]
    fn a_stream_grows_and_keeps_what_is_not_ours() {
        let there = Config { description: Some("theirs".to_owned()), ..wanted(Size::Small) };
        let (config, step) = stream_step(Some(&there), wanted(Size::Full)).unwrap();
        assert_eq!(step, Step::Change("max_bytes 268435456 → 1073741824".to_owned()));
        assert_eq!(config, Config { description: Some("theirs".to_owned()), ..wanted(Size::Full) });
    }

    #[test]
    fn no_stream_is_made_smaller() {
        let refused = |there: Config| stream_step(Some(&there), wanted(Size::Small)).unwrap_err();
        let why = refused(wanted(Size::Full));
        assert!(
            why.starts_with("TG_CMD would shrink, which loses messages: max_bytes 1073741824 → 268435456"),
            "{why}"
        );
        let small = wanted(Size::Small);
        for there in [
            Config { max_bytes: -1, ..small.clone() },
            Config { max_age: Duration::ZERO, ..small.clone() },
            Config { max_age: small.max_age * 2, ..small.clone() },
            Config { num_replicas: 3, ..small.clone() },
            Config { subjects: vec!["tg.cmd.>".to_owned(), "tg.more".to_owned()], ..small.clone() },
        ] {
            assert!(refused(there).contains("would shrink"));
        }
    }

    #[test]
    fn what_something_else_made_is_not_touched() {
        let retention = async_nats::jetstream::stream::RetentionPolicy::WorkQueue;
        let why = stream_step(Some(&Config { retention, ..wanted(Size::Full) }), wanted(Size::Full)).unwrap_err();
        assert!(why.contains("made by something else"), "{why}");
    }
}
