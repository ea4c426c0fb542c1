//! Publishing one message: under its id, so that the same one again is known, and what the answer means.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::str::FromStr as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{HeaderName, HeaderValue};
use store::Outgoing;

use super::server::Answer;
use crate::bus::Error;

/// The header that names who says a message, for those who can't read its body.
pub(super) const SERVICE: &str = "tidegate-service";

/// A CloudEvent in structured mode, as the binding for NATS wants it: whoever reads a stream can read what we say.
pub(super) const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

/// Publishes a message and waits for its answer, as long as the context says. The wait begins when this is first polled, so
/// whoever publishes many polls them together.
pub(super) async fn publish(jetstream: &Context, message: &Outgoing) -> Answer {
    let sent = jetstream.send_publish(message.subject.clone(), ready(message)).await;
    let answered = match sent {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(ack) => Answer::Taken(ack.sequence),
        Err(error) if is_too_large(&error) => Answer::Never(format!("it has {} bytes", message.body.len())),
        Err(error) => Answer::Unknown(Error::nats("publish", &error)),
    }
}

/// Headers that are none are left out: nothing reads them.
fn ready(message: &Outgoing) -> PublishMessage {
    let mut ready = PublishMessage::build()
        .payload(message.body.clone().into())
        .message_id(&message.message_id)
        .header(STRUCTURED.0, STRUCTURED.1)
        .header(SERVICE, message.service);
    let more: BTreeMap<String, String> = serde_json::from_str(&message.headers).unwrap_or_default();
    for (name, value) in more {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(&name), HeaderValue::from_str(&value)) {
            ready = ready.header(name, value);
        }
    }
    ready
}

fn is_too_large(error: &PublishError) -> bool {
    let refused = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.kind() == PublishErrorKind::MaxPayloadExceeded
        || refused.is_some_and(|refused| refused.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
}
