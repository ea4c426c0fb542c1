//! How it stands with a nats-server: what `tidegate init` would do there, what is full, who takes no messages, who beats.

use std::collections::BTreeSet;
use std::time::Instant;

use async_nats::jetstream::consumer::Info as ConsumerInfo;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{Context, kv};
use futures_util::TryStreamExt as _;
use proto::{instant, serving::Beat};
use rollout::At;

use super::address::NatsUrl;
use super::connection::open_once;
use super::found::{consumer_info, stream_info};
use super::init::{config_of, stream_of};
use super::step::{Step, consumer_step, stream_step};
use super::streams::{STREAMS, Size, Stream, VALUE_MAX};
use crate::bus::{Bucket, Error};
use crate::consumers;
use crate::doctor::{Ahead, Finding, here, seconds};
use crate::roster::{ALIVE, HEARTBEAT, Heartbeat};
use crate::services;

const INIT: &str = "run `tidegate init`";
/// More messages before a consumer than a service should have.
const LAG: u64 = 10_000;
/// A stream that is fuller wants somebody to look.
const HALF: u64 = 50;
/// A beat comes each 5 s.
const SILENT_MS: i64 = 15_000;

/// Looks at the nats-server at `url`; its clock, if it says.
pub async fn examine_bus(url: &NatsUrl) -> (Vec<Finding>, Option<Ahead>) {
    let mut findings = Vec::new();
    let jetstream = match open_once(url).await {
        Ok(jetstream) => jetstream,
        Err(error) => return (vec![out_of_reach(&error)], None),
    };
    let mut ahead = None;
    if let Err(error) = look(&jetstream, &mut findings, &mut ahead).await {
        findings.push(Finding::fail("nats-server", error.to_string(), "is JetStream on, and the user the admin?"));
    }
    (findings, ahead)
}

fn out_of_reach(error: &Error) -> Finding {
    let remedy = match error {
        Error::Old { needed, .. } => format!("upgrade it to {needed} or newer"),
        _ => "start it, or mend TIDEGATE_NATS_URL".to_owned(),
    };
    Finding::fail("nats-server", error.to_string(), remedy)
}

async fn look(jetstream: &Context, findings: &mut Vec<Finding>, ahead: &mut Option<Ahead>) -> Result<(), Error> {
    findings.push(server(jetstream).await?);
    *ahead = clock(jetstream).await;
    let are_there = streams(jetstream, findings).await?;
    if !are_there {
        return Ok(());
    }
    consumers(jetstream, findings).await?;
    // Without the server's clock there is no saying how old a word is.
    if let Some(ahead) = ahead {
        let now = here().plus_ms(ahead.ms);
        findings.push(beat(&bucket(jetstream, Bucket::Beat).await?, now).await?);
        routers(&bucket(jetstream, Bucket::Router).await?, now, findings).await?;
    }
    Ok(())
}

async fn server(jetstream: &Context) -> Result<Finding, Error> {
    let (client, since) = (jetstream.client(), Instant::now());
    client.flush().await.map_err(|cause| Error::nats("reach the server", &cause))?;
    let known = client.server_info();
    let (version, host, port) = (&known.version, &known.host, known.port);
    let found = format!("{version} at {host}:{port}, answers in {:.1} ms", since.elapsed().as_secs_f64() * 1000.0);
    Ok(match usize::try_from(VALUE_MAX).unwrap_or(0) {
        needed if known.max_payload < needed => Finding::warn(
            "nats-server",
            format!("{found}, takes {} bytes, and a route may have {needed}", known.max_payload),
            format!("set `max_payload: {needed}`"),
        ),
        _ => Finding::ok("nats-server", found),
    })
}

/// Every answer about a stream tells the server's time.
async fn clock(jetstream: &Context) -> Option<Ahead> {
    let asked = here();
    let answer: serde_json::Value = jetstream.request(format!("STREAM.INFO.{}", STREAMS[0].name), &()).await.ok()?;
    let shown = instant::parse(answer["ts"].as_str()?)?;
    Some(Ahead::between("server", (asked, here()), shown))
}

/// Judges every stream; `false` when some are missing.
async fn streams(jetstream: &Context, findings: &mut Vec<Finding>) -> Result<bool, Error> {
    let (mut missing, mut wrong, mut fullest) = (Vec::new(), Vec::new(), (0, ""));
    for stream in STREAMS {
        let Some(info) = stream_info(jetstream, stream.name).await? else {
            missing.push(stream.name);
            continue;
        };
        wrong.extend(unlike(stream, &info.config));
        let percent = percent(&info);
        fullest = fullest.max((percent, stream.name));
        if percent >= HALF {
            wrong.push(full(stream, percent));
        }
    }
    if !missing.is_empty() {
        wrong.insert(0, Finding::fail("streams", format!("{} missing", missing.join(", ")), INIT));
    }
    if wrong.is_empty() {
        let (percent, name) = fullest;
        let fullest = if percent == 0 { "all almost empty".to_owned() } else { format!("{name} is {percent} % full") };
        wrong.push(Finding::ok("streams", format!("{} as `tidegate init` makes them, {fullest}", STREAMS.len())));
    }
    findings.append(&mut wrong);
    Ok(missing.is_empty())
}

/// What `tidegate init` would change, however large it may have made the stream.
fn unlike(stream: &Stream, there: &Config) -> Option<Finding> {
    let small = stream.config(Size::Small, there.num_replicas);
    let max_bytes = if there.max_bytes <= 0 { there.max_bytes } else { small.max_bytes.max(there.max_bytes) };
    match stream_step(Some(there), Config { max_bytes, ..small }) {
        Ok((_, Step::Keep)) => None,
        Ok((_, Step::Make)) => Some(Finding::fail("streams", format!("{} is missing", stream.name), INIT)),
        Ok((_, Step::Change(what))) => Some(Finding::fail("streams", format!("{}: {what}", stream.name), INIT)),
        Err(why) => Some(Finding::fail("streams", why, format!("take {} away, then {INIT}", stream.name))),
    }
}

fn percent(info: &Info) -> u64 {
    let limit = u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0);
    limit.map_or(0, |limit| info.state.bytes.saturating_mul(100) / limit)
}

fn full(stream: &Stream, percent: u64) -> Finding {
    let then = if stream.refuses() { "takes no more when it is full" } else { "forgets the oldest when it is full" };
    let remedy = "see who takes no messages, or make it larger: `tidegate init` without `--small`";
    Finding::warn("streams", format!("{} is {percent} % full, and {then}", stream.name), remedy)
}

async fn consumers(jetstream: &Context, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let (mut wrong, mut idle, mut waiting) = (Vec::new(), BTreeSet::new(), 0);
    for consumer in consumers::all() {
        let stream = stream_of(consumer)?;
        let there = consumer_info(jetstream, stream.name, consumer.name).await?;
        match consumer_step(there.as_ref().map(|info| info.config.clone()), config_of(consumer)) {
            Ok((_, Step::Keep)) => {}
            Ok((_, Step::Make)) => {
                wrong.push(Finding::fail("consumers", format!("{} is missing", consumer.name), INIT));
            }
            Ok((_, Step::Change(what))) => {
                wrong.push(Finding::fail("consumers", format!("{}: {what}", consumer.name), INIT));
            }
            Err(why) => wrong.push(Finding::fail("consumers", why, format!("delete {}, then {INIT}", consumer.name))),
        }
        // With nobody to tell, notifier takes nothing.
        let Some(info) = there.filter(|_| consumer.name != services::NOTIFIER.name) else { continue };
        let lag = lag(&info);
        waiting += lag;
        if info.num_waiting == 0 && info.num_ack_pending == 0 {
            idle.insert(service_of(consumer.name));
        } else if lag > LAG {
            let remedy = format!("start more replicas of {}; its log says what holds it up", service_of(consumer.name));
            wrong.push(Finding::warn("consumers", format!("{lag} messages wait for {}", consumer.name), remedy));
        }
    }
    if !idle.is_empty() {
        let names = idle.into_iter().collect::<Vec<_>>().join(", ");
        wrong.push(Finding::warn("services", format!("nobody takes messages as {names}"), "start them"));
    }
    if wrong.is_empty() {
        let count = consumers::all().count();
        wrong
            .push(Finding::ok("consumers", format!("{count} as they should be, before which {waiting} messages wait")));
    }
    findings.append(&mut wrong);
    Ok(())
}

fn lag(info: &ConsumerInfo) -> u64 {
    info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX)
}

/// The service of a consumer: the longest name that its own begins with.
fn service_of(consumer: &'static str) -> &'static str {
    let names = services::WITH_DATABASE.iter().map(|service| service.name);
    names.filter(|name| consumer.starts_with(name)).max_by_key(|name| name.len()).unwrap_or(consumer)
}

async fn bucket(jetstream: &Context, bucket: Bucket) -> Result<kv::Store, Error> {
    jetstream.get_key_value(bucket.name()).await.map_err(|cause| Error::nats("open a bucket", &cause))
}

/// How long ago a value was put there, by the server's clock.
fn age_ms(entry: &kv::Entry, now: At) -> i64 {
    let put = At(i64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap_or(0));
    now.ms_since(put).max(0)
}

async fn beat(beats: &kv::Store, now: At) -> Result<Finding, Error> {
    const REMEDY: &str =
        "start stage-scheduler: without a beat routers serve the stable version when their lease is over";
    let entry = beats.entry(Beat::KEY).await.map_err(|cause| Error::nats("read a bucket", &cause))?;
    Ok(match entry.map(|entry| age_ms(&entry, now)) {
        None => Finding::warn("heartbeat", "stage-scheduler has never beaten", REMEDY),
        Some(age) if age > SILENT_MS => {
            Finding::fail("heartbeat", format!("stage-scheduler last beat {:.0} s ago", seconds(age)), REMEDY)
        }
        Some(age) => Finding::ok("heartbeat", format!("stage-scheduler beat {:.1} s ago", seconds(age))),
    })
}

async fn routers(words: &kv::Store, now: At, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let failed = |cause: &dyn std::error::Error| Error::nats("read a bucket", cause);
    let keys: Vec<String> =
        words.keys().await.map_err(|cause| failed(&cause))?.try_collect().await.map_err(|cause| failed(&cause))?;
    let mut live = Vec::new();
    for (key, name) in keys.iter().filter_map(|key| Some((key, key.strip_suffix(HEARTBEAT)?.strip_suffix('.')?))) {
        let Some(entry) = words.entry(key).await.map_err(|cause| failed(&cause))? else { continue };
        let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(&entry.value) else { continue };
        let age = age_ms(&entry, now);
        if heartbeat.has_left {
            continue;
        }
        if age > ALIVE.ms() {
            let remedy = "start it again: a retreat waits for it until its lease is over";
            findings.push(Finding::warn(
                "routers",
                format!("{name} has said nothing for {:.0} s", seconds(age)),
                remedy,
            ));
        } else {
            live.push(name);
        }
    }
    findings.push(if live.is_empty() {
        Finding::fail("routers", "none has said a word for a minute", "start one: without it no split is applied")
    } else {
        Finding::ok("routers", format!("{} live: {}", live.len(), live.join(", ")))
    });
    Ok(())
}
