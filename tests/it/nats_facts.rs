//! What the design takes for granted about nats-server, each seen on a real one: when a new release of it changes one of these,
//! something of ours has to change with it. The words B0 to B19 are those of the engineering specification.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{self, RetentionPolicy};
use async_nats::jetstream::{AckKind, Context, Message};
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::house::LIMIT;
use crate::nats::Nats;

mod deaths;
mod rules;

/// A stream of everything below `s.`.
async fn stream(jetstream: &Context, config: stream::Config) {
    let config = stream::Config { name: "S".to_owned(), subjects: vec!["s.>".to_owned()], ..config };
    jetstream.create_stream(config).await.unwrap();
}

async fn started(config: stream::Config) -> (Nats, Context) {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    stream(&jetstream, config).await;
    (nats, jetstream)
}

async fn publish(jetstream: &Context, subject: &str, id: &str) -> PublishAck {
    let message = PublishMessage::build().payload(id.to_owned().into()).message_id(id);
    jetstream.send_publish(subject.to_owned(), message).await.unwrap().await.unwrap()
}

/// Publishes `s.x` under these numbers as ids, all at once.
async fn publish_all(jetstream: &Context, numbers: std::ops::Range<usize>) -> Vec<PublishAck> {
    let ids: Vec<_> = numbers.map(|number| number.to_string()).collect();
    join_all(ids.iter().map(|id| publish(jetstream, "s.x", id))).await
}

async fn consumer(jetstream: &Context, config: pull::Config) -> PullConsumer {
    let config = pull::Config { durable_name: Some("c".to_owned()), ack_policy: AckPolicy::Explicit, ..config };
    jetstream.create_consumer_on_stream(config, "S").await.unwrap()
}

/// The next messages, up to `count`; fewer when no more come within a moment.
async fn take(consumer: &PullConsumer, count: usize, moment: Duration) -> Vec<Message> {
    let mut batch = consumer.batch().max_messages(count).expires(moment).messages().await.unwrap();
    let mut taken = Vec::new();
    while let Some(Ok(message)) = batch.next().await {
        taken.push(message);
    }
    taken
}

fn text(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

/// The same client again on a server that was started again.
async fn until_back(jetstream: &Context) {
    let since = Instant::now();
    while jetstream.query_account().await.is_err() {
        assert!(since.elapsed() < LIMIT, "the server does not come back");
    }
}
