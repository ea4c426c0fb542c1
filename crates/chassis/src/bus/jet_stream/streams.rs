//! The streams and buckets of the distributed form (RELIABILITY section 2.2), in one table.
//!
//! What people ask for can't be made again, so a full stream refuses it and the outbox keeps it. What services say to each other
//! is said again by deadlines, so that stream may lose a message but never block. All keep messages by limits, never by
//! interest or work: on those, the server forgets the id of a message that it has delivered.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use proto::subject::fits;

use crate::bus::Bucket;

/// How large streams may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// For production.
    #[default]
    Full,
    /// For one machine: an eighth or less.
    Small,
}

/// A stream, or the stream that a bucket is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) subjects: &'static [&'static str],
    /// Zero: for ever.
    max_age: Duration,
    /// In production, and on one machine.
    max_mib: (i64, i64),
    /// Whether it refuses messages when it is full, instead of forgetting the oldest.
    refuses: bool,
    /// How long the id of a message is remembered.
    window: Duration,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Messages,
    Values,
}

const MIB: i64 = 1024 * 1024;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const TWO_MINUTES: Duration = Duration::from_secs(120);
/// The smallest that a server takes. The window is one for the whole stream: two outside publishers with the same id must not
/// shadow each other for longer.
const HARDLY: Duration = Duration::from_millis(100);
/// The largest message.
const MESSAGE_MAX: i32 = 65_536;
/// The largest value: a route with a hundred arms.
pub(super) const VALUE_MAX: i32 = 262_144;

const MESSAGES: Stream = Stream {
    name: "",
    subjects: &[],
    max_age: WEEK,
    max_mib: (1024, 256),
    refuses: false,
    window: TWO_MINUTES,
    holds: Holds::Messages,
};

/// A full bucket would refuse a retreat, so it has far more room than all routes take.
const VALUES: Stream =
    Stream { max_age: Duration::ZERO, max_mib: (256, 256), refuses: true, holds: Holds::Values, ..MESSAGES };

pub(crate) const STREAMS: &[Stream] = &[
    Stream { name: "TG_CMD", subjects: &["tg.cmd.>"], refuses: true, ..MESSAGES },
    Stream {
        name: "TG_LOOP",
        subjects: &["tg.urgent.>", "tg.normal.>"],
        max_age: Duration::from_secs(6 * 3600),
        max_mib: (8 * 1024, 1024),
        ..MESSAGES
    },
    Stream { name: "TG_NEWS", subjects: &["tg.news.>"], max_mib: (2 * 1024, 256), ..MESSAGES },
    Stream { name: "TG_IN", subjects: &["tg.in.>"], refuses: true, window: HARDLY, ..MESSAGES },
    Stream {
        name: "TG_OBS",
        subjects: &["tg.obs.>"],
        max_age: Duration::from_secs(24 * 3600),
        max_mib: (2 * 1024, 256),
        window: HARDLY,
        ..MESSAGES
    },
    Stream { name: "TG_OUT", subjects: &["tg.out.>"], max_mib: (1024, 128), ..MESSAGES },
    Stream { name: "KV_tg_route", subjects: &["$KV.tg_route.>"], ..VALUES },
    Stream {
        name: "KV_tg_router",
        subjects: &["$KV.tg_router.>"],
        max_age: Duration::from_secs(60),
        max_mib: (64, 64),
        window: Duration::from_secs(60),
        ..VALUES
    },
    // On a disk as well: a stream in memory is gone with its server, not only empty.
    Stream { name: "KV_tg_beat", subjects: &["$KV.tg_beat.>"], max_mib: (1, 1), ..VALUES },
];

impl Stream {
    /// The stream that takes a subject, or everything that a filter lets through.
    pub(crate) fn of(subject: &str) -> Option<&'static Self> {
        STREAMS.iter().find(|stream| stream.subjects.iter().any(|all| fits(all, subject)))
    }

    /// The stream that a bucket is made of.
    pub(crate) fn of_bucket(bucket: Bucket) -> Option<&'static Self> {
        STREAMS.iter().find(|stream| stream.name.strip_prefix("KV_") == Some(bucket.name()))
    }

    /// What of a stream would make it lose or refuse what it must not, if anything.
    pub(super) fn unlike(&self, there: &Config) -> Option<String> {
        let wanted = self.config(Size::Full, 1);
        let differs = [
            ("retention", there.retention != wanted.retention),
            ("discard", there.discard != wanted.discard),
            ("max_age", there.max_age != wanted.max_age),
            ("max_messages_per_subject", there.max_messages_per_subject != wanted.max_messages_per_subject),
        ];
        let names: Vec<_> = differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| format!("{} has another {}", self.name, names.join(" and ")))
    }

    /// Whether it takes no more when it is full.
    pub(super) const fn refuses(&self) -> bool {
        self.refuses
    }

    pub(super) fn is_of_messages(&self) -> bool {
        self.holds == Holds::Messages
    }

    /// What the server is asked for.
    pub(crate) fn config(&self, size: Size, replicas: usize) -> Config {
        let (is_bucket, mib) = (self.holds != Holds::Messages, self.max_mib);
        Config {
            name: self.name.to_owned(),
            subjects: self.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            retention: RetentionPolicy::Limits,
            discard: if self.refuses { DiscardPolicy::New } else { DiscardPolicy::Old },
            storage: StorageType::File,
            max_age: self.max_age,
            max_bytes: MIB * if size == Size::Full { mib.0 } else { mib.1 },
            max_messages: -1,
            max_messages_per_subject: if is_bucket { 1 } else { -1 },
            max_message_size: if is_bucket { VALUE_MAX } else { MESSAGE_MAX },
            max_consumers: -1,
            duplicate_window: self.window,
            num_replicas: replicas,
            deny_delete: true,
            deny_purge: !is_bucket,
            allow_rollup: is_bucket,
            // A follower may be stale.
            allow_direct: false,
            ..Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumers;

    #[test]
    fn every_lane_and_every_consumer_has_one_stream() {
        for lane in proto::Lane::ALL {
            assert!(Stream::of(&format!("tg.{}.t.m.noun.verb", lane.token())).is_some(), "{lane:?}");
        }
        for consumer in consumers::all() {
            let streams: Vec<_> = consumer.filters.iter().map(|filter| Stream::of(filter).unwrap().name).collect();
            assert!(streams.iter().all(|name| *name == streams[0]), "{}: {streams:?}", consumer.name);
        }
    }

    #[test]
    fn every_bucket_has_a_stream() {
        for bucket in Bucket::ALL {
            assert!(Stream::of_bucket(bucket).is_some(), "{bucket:?}");
        }
    }
}
