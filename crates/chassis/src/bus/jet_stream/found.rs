//! What a server has of ours.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::Info;
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
