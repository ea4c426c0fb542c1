//! `tidegate init` against a real server.

use std::process::Command;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use chassis::consumers;
use futures_util::TryStreamExt as _;

use super::Nats;
use crate::house::binary;

/// Runs `tidegate init` and gives its exit code and what it says.
pub(crate) fn init(nats: &Nats, more: &[&str]) -> (i32, String) {
    let out = Command::new(binary()).args(["init", "--nats", &nats.url()]).args(more).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap(), text)
}

async fn streams(nats: &Nats) -> Vec<stream::Info> {
    let mut streams: Vec<_> = nats.jetstream().await.streams().try_collect().await.unwrap();
    streams.sort_by(|one, other| one.config.name.cmp(&other.config.name));
    streams
}

#[tokio::test]
async fn init_makes_every_stream_bucket_and_consumer_and_then_changes_nothing() {
    let nats = Nats::start();
    let (code, text) = init(&nats, &["--small"]);
    assert!(code == 0 && text.ends_with("\n0 streams and consumers were as they should be\n"), "{text}");
    let made = streams(&nats).await;
    let rows: Vec<_> = made
        .iter()
        .map(|info| {
            let config = &info.config;
            assert!(config.retention == RetentionPolicy::Limits && config.deny_delete && !config.allow_direct);
            let full = if config.discard == DiscardPolicy::New { "refuses" } else { "forgets" };
            let on = if config.storage == StorageType::Memory { "memory" } else { "file" };
            let (mib, age, window) = (config.max_bytes >> 20, config.max_age.as_secs(), config.duplicate_window);
            let (one, size) = (config.max_messages_per_subject, config.max_message_size);
            format!(
                "{} {} {full} {on} {mib} MiB {age} s {window:?} {one} {size}",
                config.name,
                config.subjects.join(",")
            )
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    KV_tg_beat $KV.tg_beat.> refuses file 1 MiB 0 s 120s 1 262144
    KV_tg_route $KV.tg_route.> refuses file 256 MiB 0 s 120s 1 262144
    KV_tg_router $KV.tg_router.> refuses file 64 MiB 60 s 60s 1 262144
    TG_CMD tg.cmd.> refuses file 256 MiB 604800 s 120s -1 65536
    TG_IN tg.in.> refuses file 256 MiB 604800 s 100ms -1 65536
    TG_LOOP tg.urgent.>,tg.normal.> forgets file 1024 MiB 21600 s 120s -1 65536
    TG_NEWS tg.news.> forgets file 256 MiB 604800 s 120s -1 65536
    TG_OBS tg.obs.> forgets file 256 MiB 86400 s 100ms -1 65536
    TG_OUT tg.out.> forgets file 128 MiB 604800 s 120s -1 65536
    ");
    for consumer in consumers::all() {
        assert!(text.contains(&format!("made {}\n", consumer.name)), "{text}");
    }
    let (code, text) = init(&nats, &["--small"]);
    assert_eq!(
        (code, text),
        (0, format!("{} streams and consumers were as they should be\n", 9 + consumers::all().count()))
    );
    assert_eq!(
        streams(&nats).await.iter().map(|info| &info.config).collect::<Vec<_>>(),
        made.iter().map(|info| &info.config).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn init_mends_a_consumer_that_was_changed() {
    let nats = Nats::start();
    assert_eq!(init(&nats, &["--small"]).0, 0);
    let jetstream = nats.jetstream().await;
    let found =
        async || -> PullConsumer { jetstream.get_consumer_from_stream("stage-scheduler", "TG_LOOP").await.unwrap() };
    let wanted = found().await.cached_info().config.clone();
    assert_eq!(
        (wanted.ack_wait.as_secs(), wanted.max_ack_pending, wanted.max_deliver, wanted.filter_subjects.len()),
        (4, 512, -1, 4)
    );
    let odd = pull::Config {
        durable_name: Some("stage-scheduler".to_owned()),
        filter_subject: "tg.urgent.>".to_owned(),
        max_deliver: 3,
        ..pull::Config::default()
    };
    jetstream.create_consumer_on_stream(odd, "TG_LOOP").await.unwrap();
    let (code, text) = init(&nats, &["--small"]);
    assert!(code == 0 && text.contains("changed stage-scheduler: ack_wait 30000000000 → 4000000000"), "{text}");
    assert_eq!(found().await.cached_info().config, wanted);
}

#[tokio::test]
async fn init_makes_streams_larger_but_never_smaller() {
    let nats = Nats::start();
    assert_eq!(init(&nats, &["--small"]).0, 0);
    let (code, text) = init(&nats, &[]);
    assert!(code == 0 && text.contains("changed TG_LOOP: max_bytes 1073741824 → 8589934592\n"), "{text}");
    let before: Vec<_> = streams(&nats).await.into_iter().map(|info| info.config).collect();
    let (code, text) = init(&nats, &["--small"]);
    assert!(
        code == 1 && text.contains("TG_CMD would shrink, which loses messages: max_bytes 1073741824 → 268435456"),
        "{text}"
    );
    assert!(text.contains("TG_LOOP would shrink") && text.contains("nothing was changed"), "{text}");
    assert_eq!(streams(&nats).await.into_iter().map(|info| info.config).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn init_touches_nothing_that_something_else_made() {
    let nats = Nats::start();
    let theirs = stream::Config {
        name: "TG_NEWS".to_owned(),
        subjects: vec!["tg.news.>".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..stream::Config::default()
    };
    nats.jetstream().await.create_stream(theirs).await.unwrap();
    let (code, text) = init(&nats, &["--small"]);
    assert!(code == 1 && text.contains("TG_NEWS was made by something else"), "{text}");
    assert_eq!(streams(&nats).await.len(), 1);
}

#[tokio::test]
async fn init_warns_of_a_stream_that_is_half_full() {
    let nats = Nats::start();
    assert_eq!(init(&nats, &["--small"]).0, 0);
    let beat = nats.jetstream().await.get_key_value("tg_beat").await.unwrap();
    for key in ["a", "b", "c"] {
        beat.put(key, vec![b'x'; 200_000].into()).await.unwrap();
    }
    let (code, text) = init(&nats, &["--small"]);
    assert!(code == 0 && text.contains("warning: KV_tg_beat is 57 % full\n"), "{text}");
}

#[test]
fn init_says_in_one_line_that_it_can_not_connect() {
    let mut nats = Nats::start();
    nats.kill();
    let (code, text) = init(&nats, &[]);
    assert!(code == 1 && text.starts_with("error: nats: can't connect: ") && text.lines().count() == 1, "{text}");
}
