//! The buckets of a server: put with compare-and-set, and watched for as long as the process lives.
//!
//! A watcher begins anew, with everything that is there, whenever the connection does, whenever the server is silent, and whenever
//! an answer shows that the server has gone back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, REQUEST_LIMIT};
use super::kept::Kept;
use crate::bus::{Bucket, Entry, Error, Values};
use crate::metrics::Metrics;

/// A watcher that failed begins anew after this long.
const AGAIN: Duration = Duration::from_millis(250);
/// What a deleted value leaves behind says so in this header.
const OPERATION: &str = "KV-Operation";

/// The buckets of a server.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    connection: Connection,
    kept: Arc<BTreeMap<Bucket, Arc<Kept>>>,
    /// The buckets that are watched.
    watched: Arc<Vec<(Bucket, AbortOnDropHandle<()>)>>,
}

/// What stands at a key.
enum There {
    Value(Entry),
    /// A value was there; this revision says that it went.
    Gone(i64),
    Nothing,
}

impl Buckets {
    /// Watches `watched` as long as anybody holds the buckets.
    pub(super) fn open(connection: &Connection, watched: &[Bucket], metrics: &Metrics) -> Self {
        let kept = |bucket| (bucket, Arc::new(Kept::new(bucket, watched.contains(&bucket), metrics)));
        let kept: BTreeMap<_, _> = Bucket::ALL.into_iter().map(kept).collect();
        let watch = |bucket: &Bucket| {
            let task = follow(connection.clone(), *bucket, Arc::clone(&kept[bucket]));
            (*bucket, AbortOnDropHandle::new(tokio::spawn(task)))
        };
        let watched = watched.iter().map(watch).collect();
        Self { connection: connection.clone(), kept: Arc::new(kept), watched: Arc::new(watched) }
    }

    /// Ends once every bucket that is watched was read.
    pub(super) async fn filled(&self) {
        for (bucket, _) in self.watched.iter() {
            self.kept[bucket].filled().await;
        }
    }

    pub(super) fn watch(&self, bucket: Bucket) -> watch::Receiver<Values> {
        self.kept[&bucket].watch()
    }

    pub(super) fn is_fresh(&self, bucket: Bucket, key: &str) -> bool {
        self.kept[&bucket].is_fresh(key, Instant::now())
    }

    pub(super) fn age(&self, bucket: Bucket, key: &str) -> Option<Duration> {
        self.kept[&bucket].age(key, Instant::now())
    }

    /// Puts a value at the revision read; gives the new one, or none when another one was quicker: then the values say what
    /// stands there.
    pub(super) async fn put(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        let Entry { revision, value } = entry;
        if let Some(put) = self.publish(bucket, key, &value, Some(revision)).await? {
            return Ok(Some(put));
        }
        match self.read(bucket, key).await? {
            // For whoever read it nothing was there.
            There::Gone(gone) if revision == 0 => self.publish(bucket, key, &value, Some(gone)).await,
            There::Value(there) => self.refresh(bucket, key, Some(there)).await,
            There::Gone(_) | There::Nothing => self.refresh(bucket, key, None).await,
        }
    }

    /// Has the values say what stands there.
    async fn refresh(&self, bucket: Bucket, key: &str, there: Option<Entry>) -> Result<Option<i64>, Error> {
        let kept = &self.kept[&bucket];
        kept.asked(key, there, Instant::now());
        let read = tokio::time::timeout(REQUEST_LIMIT, kept.filled()).await;
        read.map(|()| None).map_err(|late| Error::nats("read a bucket", &late))
    }

    /// Puts a value whatever is there.
    pub(super) async fn set(&self, bucket: Bucket, key: &str, value: &str) -> Result<(), Error> {
        self.publish(bucket, key, value, None).await.map(drop)
    }

    /// None when another revision is there. Without an answer it may have been put all the same: who tries again with the
    /// revision that he knows finds out.
    async fn publish(&self, bucket: Bucket, key: &str, value: &str, at: Option<i64>) -> Result<Option<i64>, Error> {
        const DOING: &str = "put a value";
        // Without a server it would be put at some later time, when nobody asks for it any more.
        if !self.connection.is_up() {
            return Err(Error::nats(DOING, &Down));
        }
        let mut headers = HeaderMap::new();
        if let Some(revision) = at {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string().as_str());
        }
        let jetstream = self.connection.jetstream();
        let subject = format!("{}{key}", prefix(bucket));
        let sent = jetstream.publish_with_headers(subject, headers, value.to_owned().into()).await;
        match sent.map_err(|cause| Error::nats(DOING, &cause))?.await {
            Ok(ack) => {
                let revision = i64::try_from(ack.sequence).unwrap_or(i64::MAX);
                let entry = Entry { revision, value: value.to_owned() };
                self.kept[&bucket].took(key, entry, Instant::now());
                Ok(Some(revision))
            }
            Err(refused) if refused.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(cause) => Err(Error::nats(DOING, &cause)),
        }
    }

    async fn read(&self, bucket: Bucket, key: &str) -> Result<There, Error> {
        let jetstream = self.connection.jetstream();
        let stream = jetstream.get_stream_no_info(stream_name(bucket)).await;
        let stream = stream.map_err(|cause| Error::nats("read a bucket", &cause))?;
        match stream.get_last_raw_message_by_subject(&format!("{}{key}", prefix(bucket))).await {
            Ok(message) => {
                let revision = i64::try_from(message.sequence).unwrap_or(i64::MAX);
                Ok(there(revision, Some(&message.headers), &message.payload))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(There::Nothing),
            Err(cause) => Err(Error::nats("read a value", &cause)),
        }
    }
}

/// Why nothing was asked of a server.
#[derive(Debug, thiserror::Error)]
#[error("there is no server")]
struct Down;

/// Watches a bucket until the process ends.
async fn follow(connection: Connection, bucket: Bucket, kept: Arc<Kept>) {
    loop {
        let taken = connection.up().await;
        tokio::select! {
            Err(error) = watch_from_start(&connection, bucket, &kept) => {
                tracing::debug!("watching the bucket {} anew: {error}", bucket.name());
                tokio::time::sleep(AGAIN).await;
            }
            () = connection.taken_again(taken) => {}
            () = kept.again.notified() => {}
        }
    }
}

/// Reads everything that is there, and then what changes; ends when the server does not answer or is silent.
async fn watch_from_start(connection: &Connection, bucket: Bucket, kept: &Kept) -> Result<Infallible, Error> {
    const DOING: &str = "watch a bucket";
    let jetstream = connection.jetstream();
    let stream = jetstream.get_stream(stream_name(bucket)).await.map_err(|cause| Error::nats(DOING, &cause))?;
    let info = stream.cached_info();
    let last = i64::try_from(info.state.last_sequence).unwrap_or(i64::MAX);
    kept.begin(info.config.max_age);
    let config = push::OrderedConfig {
        deliver_subject: jetstream.client().new_inbox(),
        filter_subject: format!("{}>", prefix(bucket)),
        deliver_policy: DeliverPolicy::LastPerSubject,
        replay_policy: ReplayPolicy::Instant,
        ..push::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|cause| Error::nats(DOING, &cause))?;
    let (mut pending, now) = (consumer.cached_info().num_pending, consumer.cached_info().created);
    let mut messages = consumer.messages().await.map_err(|cause| Error::nats(DOING, &cause))?;
    let mut found = BTreeMap::new();
    while pending > 0 {
        // What is overwritten while we read it may not come at all: then this ends, and the next reading is complete.
        let next = tokio::time::timeout(REQUEST_LIMIT, messages.next()).await;
        let message = next.map_err(|cause| Error::nats(DOING, &cause))?.ok_or_else(|| Error::nats(DOING, &Down))?;
        let message = message.map_err(|cause| Error::nats(DOING, &cause))?;
        let put_at = message.info().map_err(|cause| Error::nats(DOING, &*cause))?.published;
        let (key, there, left) = parsed(bucket, &message)?;
        match there {
            // Both by the server's clock; what was put after the consumer was made is new.
            There::Value(entry) => found.insert(key, (entry, (now - put_at).try_into().unwrap_or_default())),
            There::Gone(_) | There::Nothing => found.remove(&key),
        };
        pending = left;
    }
    kept.fill(found, last, Instant::now());
    loop {
        let look = kept.forget(Instant::now());
        let message = tokio::select! {
            message = messages.next() => message.ok_or_else(|| Error::nats(DOING, &Down))?,
            () = sleep_until(look) => continue,
        };
        let (key, there, _) = parsed(bucket, &message.map_err(|cause| Error::nats(DOING, &cause))?)?;
        match there {
            There::Value(entry) => kept.took(&key, entry, Instant::now()),
            There::Gone(revision) => kept.went(&key, revision),
            There::Nothing => {}
        }
    }
}

async fn sleep_until(look: Option<Instant>) {
    match look {
        Some(look) => tokio::time::sleep_until(look.into()).await,
        None => std::future::pending().await,
    }
}

/// The key of a message, what it puts there, and how many there are behind it.
fn parsed(bucket: Bucket, message: &Message) -> Result<(String, There, u64), Error> {
    const DOING: &str = "read a value";
    let info = message.info().map_err(|cause| Error::nats(DOING, &*cause))?;
    let key = message.subject.strip_prefix(&prefix(bucket)).unwrap_or_default().to_owned();
    let revision = i64::try_from(info.stream_sequence).unwrap_or(i64::MAX);
    Ok((key, there(revision, message.headers.as_ref(), &message.payload), info.pending))
}

fn there(revision: i64, headers: Option<&HeaderMap>, payload: &[u8]) -> There {
    if headers.is_some_and(|headers| headers.get(OPERATION).is_some()) {
        return There::Gone(revision);
    }
    // A value that is no text is somebody else's: it is shown as such, and decodes to nothing of ours.
    There::Value(Entry { revision, value: String::from_utf8_lossy(payload).into_owned() })
}

fn stream_name(bucket: Bucket) -> String {
    format!("KV_{}", bucket.name())
}

fn prefix(bucket: Bucket) -> String {
    format!("$KV.{}.", bucket.name())
}
