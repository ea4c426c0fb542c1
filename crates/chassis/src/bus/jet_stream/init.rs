//! What `tidegate init` does: streams, buckets and consumers on a server, as the tables say. It may be run as often as one likes;
//! everything is compared before anything is changed, and nothing is ever made smaller, because that would throw messages away.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{Context, ErrorCode};
use tokio::time::{Instant, sleep};

use super::address::NatsUrl;
use super::connection::open_once;
use super::found::{consumer_info, stream_info};
use super::step::{Step, consumer_step, stream_step};
use super::streams::{STREAMS, Size, Stream};
use crate::bus::Error;
use crate::consumers::{self, Consumer};

/// What a cluster answers that is not whole yet.
const COMES_UP: [ErrorCode; 2] = [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::CLUSTER_NOT_AVAILABLE];
/// And when it has had long enough.
const COMES_UP_LIMIT: Duration = Duration::from_secs(20);

/// How the bus is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How large streams may grow.
    pub size: Size,
    /// On how many servers each stream is.
    pub replicas: usize,
    /// Consumers besides those of tidegate's own services.
    pub besides: &'static [Consumer],
}

/// Something that `tidegate init` did or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was made.
    Made(String),
    /// It was changed, with what exactly.
    Changed(String, String),
    /// It was there already.
    Kept(String),
    /// It is more than half full.
    Filling(String),
}

/// Makes the streams, buckets and consumers that the server lacks, and changes those that differ.
///
/// # Errors
/// When the server does not answer, is too old, or has something that would have to be made smaller or anew: then nothing is
/// changed.
pub async fn init(url: &NatsUrl, wanted: Wanted) -> Result<Vec<Done>, Error> {
    let jetstream = open_once(url).await?;
    let plan = Plan::read(&jetstream, wanted).await?;
    plan.carry_out(&jetstream).await
}

/// What is to be done about everything.
struct Plan {
    streams: Vec<(Config, Step, Option<Info>)>,
    consumers: Vec<(&'static Stream, pull::Config, Step)>,
}

impl Plan {
    async fn read(jetstream: &Context, wanted: Wanted) -> Result<Self, Error> {
        let (mut plan, mut wrong) = (Self { streams: Vec::new(), consumers: Vec::new() }, Vec::new());
        for stream in STREAMS {
            let there = stream_info(jetstream, stream.name).await?;
            let config = stream.config(wanted.size, wanted.replicas);
            match stream_step(there.as_ref().map(|info| &info.config), config) {
                Ok((config, step)) => plan.streams.push((config, step, there)),
                Err(why) => wrong.push(why),
            }
        }
        for consumer in consumers::all().chain(wanted.besides) {
            let stream = stream_of(consumer)?;
            let there = consumer_info(jetstream, stream.name, consumer.name).await?;
            match consumer_step(there.map(|info| info.config), config_of(consumer)) {
                Ok((config, step)) => plan.consumers.push((stream, config, step)),
                Err(why) => wrong.push(why),
            }
        }
        if wrong.is_empty() { Ok(plan) } else { Err(Error::Unfit(wrong)) }
    }

    async fn carry_out(self, jetstream: &Context) -> Result<Vec<Done>, Error> {
        let mut done = Vec::new();
        for (config, step, there) in self.streams {
            let name = config.name.clone();
            match step {
                Step::Make => {
                    let made = made(jetstream, config).await;
                    made.map_err(|cause| Error::nats("make a stream", &cause))?;
                }
                Step::Change(_) => {
                    let changed = jetstream.update_stream(config).await;
                    changed.map_err(|cause| Error::nats("change a stream", &cause))?;
                }
                Step::Keep => {}
            }
            done.push(said(&name, step));
            done.extend(there.and_then(|info| filling(&info)));
        }
        for (stream, config, step) in self.consumers {
            let name = config.durable_name.clone().unwrap_or_default();
            if step != Step::Keep {
                let made = jetstream.create_consumer_on_stream(config, stream.name).await;
                made.map_err(|cause| Error::nats("make or change a consumer", &cause))?;
            }
            done.push(said(&name, step));
        }
        Ok(done)
    }
}

/// Makes a stream. A cluster that comes up has a leader before it has all its servers: it is given time for them.
async fn made(jetstream: &Context, config: Config) -> Result<(), CreateStreamError> {
    let since = Instant::now();
    loop {
        let Err(cause) = jetstream.create_stream(config.clone()).await else { return Ok(()) };
        let waits = match cause.kind() {
            CreateStreamErrorKind::JetStream(said) => COMES_UP.contains(&said.error_code()),
            _ => false,
        };
        if !waits || since.elapsed() > COMES_UP_LIMIT {
            return Err(cause);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn said(name: &str, step: Step) -> Done {
    match step {
        Step::Make => Done::Made(name.to_owned()),
        Step::Change(what) => Done::Changed(name.to_owned(), what),
        Step::Keep => Done::Kept(name.to_owned()),
    }
}

/// The stream of a consumer: all its filters belong to one.
pub(super) fn stream_of(consumer: &Consumer) -> Result<&'static Stream, Error> {
    let filter = consumer.filters.first().copied().unwrap_or_default();
    Stream::of(filter).ok_or_else(|| Error::Unfit(vec![format!("{}: no stream has {filter}", consumer.name)]))
}

fn filling(info: &Info) -> Option<Done> {
    let limit = u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0)?;
    let percent = info.state.bytes.saturating_mul(100) / limit;
    (percent >= 50).then(|| Done::Filling(format!("{} is {percent} % full", info.config.name)))
}

/// The server must never hide a message from us: how often one is tried is ours to count.
pub(super) fn config_of(consumer: &Consumer) -> pull::Config {
    let mut filters: Vec<_> = consumer.filters.iter().map(|filter| (*filter).to_owned()).collect();
    let only = if filters.len() == 1 { filters.remove(0) } else { String::new() };
    pull::Config {
        durable_name: Some(consumer.name.to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: consumer.ack_wait,
        max_deliver: -1,
        max_ack_pending: consumer.in_hand_max,
        filter_subject: only,
        filter_subjects: filters,
        ..pull::Config::default()
    }
}
