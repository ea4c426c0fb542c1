//! What a nats-server knows and a database that was restored may have forgotten.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message, kv};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rollout::{At, RolloutId, Route};
use time::OffsetDateTime;

use super::address::NatsUrl;
use super::connection::open_once;
use super::publish::SERVICE;
use super::streams::{STREAMS, Stream};
use crate::bus::{Bucket, Error};

/// No more of a stream is read: it is a list for people.
const MOST: u64 = 10_000;
/// A server that says how many messages it has sends the next one within this.
const NEXT_LIMIT: Duration = Duration::from_secs(10);

/// All routes are read within this, each by a question of its own.
const ROUTES_LIMIT: Duration = Duration::from_secs(60);

/// What a nats-server knows.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The routes that targets follow.
    pub routes: Vec<Route>,
    /// What services said.
    pub said: Vec<SaidThere>,
    /// Streams that hold more than was read.
    pub cut: Vec<&'static str>,
}

/// A message of a service.
#[derive(Debug)]
pub struct SaidThere {
    /// Its id.
    pub message_id: String,
    /// What it was published on.
    pub subject: String,
    /// The rollout that it is about, if it names one.
    pub rollout_id: Option<RolloutId>,
}

/// Reads the routes, and what services have said since an instant: 10,000 messages of a stream at most.
///
/// # Errors
/// When the server is out of reach, or does not let this user read.
pub async fn remembered(url: &NatsUrl, since: At) -> Result<Remembered, Error> {
    let jetstream = open_once(url).await?;
    let routes = tokio::time::timeout(ROUTES_LIMIT, routes(&jetstream)).await;
    let routes = routes.map_err(|late| Error::nats("read the routes", &late))??;
    let mut all = Remembered { routes, ..Remembered::default() };
    // What is measured is in no outbox.
    let is_said = |stream: &&Stream| stream.is_of_messages() && stream.name != "TG_OBS";
    for stream in STREAMS.iter().filter(is_said) {
        if said(&jetstream, stream.name, since, &mut all.said).await? > MOST {
            all.cut.push(stream.name);
        }
    }
    Ok(all)
}

async fn routes(jetstream: &Context) -> Result<Vec<Route>, Error> {
    let failed = |cause: &dyn std::error::Error| Error::nats("read the routes", cause);
    let bucket: kv::Store = jetstream.get_key_value(Bucket::Route.name()).await.map_err(|cause| failed(&cause))?;
    let keys: Vec<String> =
        bucket.keys().await.map_err(|cause| failed(&cause))?.try_collect().await.map_err(|cause| failed(&cause))?;
    let mut routes = Vec::new();
    for key in keys {
        let value = bucket.get(&key).await.map_err(|cause| failed(&cause))?;
        // What is no route is put right by its wish.
        routes.extend(value.and_then(|value| serde_json::from_slice::<Route>(&value).ok()));
    }
    Ok(routes)
}

/// Adds what a stream holds since an instant; gives how much that is.
async fn said(jetstream: &Context, stream: &str, since: At, all: &mut Vec<SaidThere>) -> Result<u64, Error> {
    let failed = |cause: &dyn std::error::Error| Error::nats("read a stream", cause);
    let start_time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(since.0) * 1_000_000);
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartTime { start_time: start_time.unwrap_or(OffsetDateTime::UNIX_EPOCH) },
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let reader = jetstream.create_consumer_on_stream(config, stream).await.map_err(|cause| failed(&cause))?;
    let there = reader.cached_info().num_pending;
    let messages = reader.messages().await.map_err(|cause| failed(&cause))?;
    let mut messages = messages.take(usize::try_from(there.min(MOST)).unwrap_or(usize::MAX));
    while let Some(message) = tokio::time::timeout(NEXT_LIMIT, messages.next()).await.map_err(|cause| failed(&cause))? {
        all.extend(said_there(&message.map_err(|cause| failed(&cause))?));
    }
    Ok(there)
}

/// The message of a service, or none of others: what comes from outside is in no outbox.
fn said_there(message: &Message) -> Option<SaidThere> {
    let headers = message.headers.as_ref()?;
    headers.get(SERVICE)?;
    let event: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let rollout_id = event["data"]["rollout_id"].as_str().and_then(|id| RolloutId::new(id).ok());
    Some(SaidThere {
        message_id: headers.get(async_nats::header::NATS_MESSAGE_ID)?.to_string(),
        subject: message.subject.to_string(),
        rollout_id,
    })
}
