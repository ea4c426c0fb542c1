//! What a server has of ours.

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use async_nats::jetstream::{Context, ErrorCode, consumer};

use crate::bus::Error;

pub(super) async fn stream_info(jetstream: &Context, name: &str) -> Result<Option<Info>, Error> {
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(Error::nats("read a stream", &error)),
        },
    }
}

/// The id of the message at a place of a stream; none where none is there.
pub(super) async fn id_at(jetstream: &Context, name: &str, sequence: u64) -> Result<Option<String>, Error> {
    let failed = |error: &dyn std::error::Error| Error::nats("read a message of a stream", error);
    let stream = jetstream.get_stream_no_info(name).await.map_err(|error| failed(&error))?;
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(message.headers.get(NATS_MESSAGE_ID).map(ToString::to_string)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

pub(super) async fn consumer_info(
    jetstream: &Context,
    stream: &str,
    name: &str,
) -> Result<Option<consumer::Info>, Error> {
    use async_nats::jetstream::stream::ConsumerErrorKind;
    match jetstream.get_consumer_from_stream(name, stream).await {
        Ok(found) => {
            let found: PullConsumer = found;
            Ok(Some(found.cached_info().clone()))
        }
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(refused)
                if [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND].contains(&refused.error_code()) =>
            {
                Ok(None)
            }
            _ => Err(Error::nats("read a consumer", &error)),
        },
    }
}
