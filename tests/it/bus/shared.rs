//! Buckets and stops over a server, which processes share and which comes and goes.

use std::time::Instant;

use ::chassis::{Bucket, Entry, Heard, Heartbeat, Roster, Values};
use async_nats::jetstream::stream::Config;
use proto::serving::Word;

use super::arms::{Arm, Peer, Served};
use super::*;
use crate::nats::Nats;

fn entry(revision: i64, value: &str) -> Entry {
    Entry { revision, value: value.to_owned() }
}

/// What another process puts there.
async fn set(nats: &Nats, bucket: Bucket, key: &str, value: &str) {
    let store = nats.jetstream().await.get_key_value(bucket.name()).await.unwrap();
    store.put(key, value.to_owned().into()).await.unwrap();
}

#[tokio::test]
async fn a_refused_put_has_the_values_say_who_was_quicker() {
    let served = Served::start().await;
    let (one, other) = (&served.peer, Peer::of(&served.nats, "admin").await);
    let mut revision = 0;
    for number in 0..20 {
        revision = one.put(Bucket::Route, "k", entry(revision, &number.to_string())).await.unwrap().unwrap();
        // Without a wait for its watcher.
        assert_eq!(other.put(Bucket::Route, "k", entry(0, "stale")).await.unwrap(), None, "{number}");
        assert_eq!(other.watch(Bucket::Route).borrow().get("k"), Some(&entry(revision, &number.to_string())));
    }
}

#[tokio::test]
async fn a_process_that_starts_knows_all_that_is_there() {
    let served = Served::start().await;
    for number in 0..300 {
        served.peer.set(Bucket::Route, &format!("t.m{number}"), "1").await.unwrap();
    }
    let other = Peer::of(&served.nats, "admin").await;
    assert_eq!(other.watch(Bucket::Route).borrow().len(), 300);
}

#[tokio::test]
async fn a_watcher_goes_on_when_the_server_was_killed() {
    let mut served = Served::start().await;
    served.peer.set(Bucket::Route, "k", "before").await.unwrap();
    served.peer.set(Bucket::Beat, "beat", "1").await.unwrap();
    served.kill(|_| {});
    set(&served.nats, Bucket::Route, "k", "after").await;
    let peer = &served.peer;
    peer.sees(Bucket::Route, "the value of after", |values| values.get("k").is_some_and(|k| k.value == "after")).await;
    assert_eq!(peer.watch(Bucket::Beat).borrow()["beat"].value, "1");
    set(&served.nats, Bucket::Route, "k", "later").await;
    peer.sees(Bucket::Route, "the value of later", |values| values["k"].value == "later").await;
    assert!(peer.metrics.counters().contains("tidegate_broker_went_back_total 0\n"));
}

#[tokio::test]
async fn a_server_that_went_back_is_followed_and_counted() {
    let mut served = Served::start().await;
    let old = served.peer.put(Bucket::Route, "k", entry(0, "old")).await.unwrap().unwrap();
    served.nats.kill();
    let copy = served.nats.copy_store();
    served.nats.start_again();
    let peer = &served.peer;
    eventually("a newer value", async || peer.set(Bucket::Route, "k", "new").await.is_ok()).await;
    served.kill(|nats| nats.put_back(&copy));
    let (peer, since) = (&served.peer, Instant::now());
    peer.sees(Bucket::Route, "the older value", |values| values.get("k") == Some(&entry(old, "old"))).await;
    // Sooner than a silent server is found out.
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(peer.metrics.counters().contains("tidegate_broker_went_back_total 1\n"));
    assert!(peer.put(Bucket::Route, "k", entry(old, "new again")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_value_of_a_router_is_over_with_its_age() {
    let served = Served::start().await;
    let jetstream = served.nats.jetstream().await;
    let there = jetstream.get_stream("KV_tg_router").await.unwrap().cached_info().config.clone();
    let short = Config { max_age: Duration::from_millis(1_500), duplicate_window: Duration::from_secs(1), ..there };
    jetstream.update_stream(short).await.unwrap();
    // It learns the age when it reads the bucket.
    let peer = Peer::of(&served.nats, "admin").await;
    let since = Instant::now();
    peer.set(Bucket::Router, "r", "1").await.unwrap();
    assert!(peer.is_fresh(Bucket::Router, "r"));
    peer.sees(Bucket::Router, "no value", Values::is_empty).await;
    assert!(since.elapsed() >= Duration::from_millis(1_500), "{:?}", since.elapsed());
    assert!(!peer.is_fresh(Bucket::Router, "r"));
    // A key that is over is put as one that never was.
    eventually("the key is free", async || peer.put(Bucket::Router, "r", entry(0, "2")).await.unwrap().is_some()).await;
}

#[tokio::test]
async fn a_value_that_was_deleted_is_put_anew() {
    let served = Served::start().await;
    let peer = &served.peer;
    peer.set(Bucket::Router, "r", "1").await.unwrap();
    let store = served.nats.jetstream().await.get_key_value("tg_router").await.unwrap();
    store.delete("r").await.unwrap();
    peer.sees(Bucket::Router, "no value", Values::is_empty).await;
    assert!(peer.put(Bucket::Router, "r", entry(0, "2")).await.unwrap().is_some());
    assert_eq!(peer.watch(Bucket::Router).borrow()["r"].value, "2");
}

#[tokio::test]
async fn without_a_server_a_put_fails_at_once() {
    let mut served = Served::start().await;
    served.nats.kill();
    let peer = &served.peer;
    eventually("the loss is noticed", async || {
        let since = Instant::now();
        peer.set(Bucket::Route, "k", "lost").await.is_err() && since.elapsed() < Duration::from_millis(100)
    })
    .await;
}

#[tokio::test]
async fn what_a_server_does_not_let_us_do_is_counted() {
    let served = Served::start().await;
    let mute = Peer::of(&served.nats, "mute").await;
    let stamped = Stamped { service: "api", at: NOON, trace: &Trace::from_parent(None) };
    // The server says nothing to whoever publishes.
    mute.stop(&stamped, "cmd.1", &command("m", Verb::Rollback)).await.unwrap();
    eventually("it is counted", async || {
        mute.metrics.counters().contains("tidegate_permission_refused_total{service=\"api\"} 1\n")
    })
    .await;
    let why = mute.ailing().unwrap();
    assert!(why.contains("tg.cmd.default.m.rollout.stop"), "{why}");
}

/// The next stop that is heard, and how long that took since `from`.
async fn heard(stops: &mut ::chassis::Stops, from: Instant) -> (RolloutCommand, Duration) {
    loop {
        let next = tokio::time::timeout(LIMIT, stops.next()).await.expect("no stop is heard");
        if let Heard::Stop(command) = next.expect("the bus is there") {
            return (*command, from.elapsed());
        }
    }
}

#[tokio::test]
async fn a_stop_is_heard_within_250_ms() {
    for arm in Arm::both().await {
        let mut stops = arm.stops();
        let (said, since) = (command("m", Verb::Rollback), Instant::now());
        arm.stop(&said).await;
        let (heard, after) = heard(&mut stops, since).await;
        assert_eq!(heard, said);
        assert!(after < Duration::from_millis(250), "{after:?}");
    }
}

#[tokio::test]
async fn a_stop_on_the_bus_lies_in_the_stream_under_the_id_of_its_commit() {
    let served = Served::start().await;
    let stamped = Stamped { service: "api", at: NOON, trace: &Trace::from_parent(None) };
    for _ in 0..2 {
        served.peer.stop(&stamped, "cmd.7", &command("m", Verb::Rollback)).await.unwrap();
    }
    let jetstream = served.nats.jetstream().await;
    let messages = async || jetstream.get_stream("TG_CMD").await.unwrap().cached_info().state.messages;
    eventually("it is stored", async || messages().await > 0).await;
    assert_eq!(messages().await, 1);
}

#[tokio::test]
async fn whoever_may_have_missed_stops_is_told() {
    let mut served = Served::start().await;
    let mut stops = served.peer.stops();
    served.kill(|_| {});
    let gap = async { while !matches!(stops.next().await.expect("the bus is there"), Heard::Gap) {} };
    assert!(tokio::time::timeout(LIMIT, gap).await.is_ok(), "nothing is said");
    let stamped = Stamped { service: "api", at: NOON, trace: &Trace::from_parent(None) };
    let said = command("m", Verb::Cancel);
    served.peer.stop(&stamped, "cmd.1", &said).await.unwrap();
    assert_eq!(heard(&mut stops, Instant::now()).await.0, said);
}

#[tokio::test]
async fn a_router_that_vanished_is_remembered_when_its_words_are_over() {
    let served = Served::start().await;
    let jetstream = served.nats.jetstream().await;
    let there = jetstream.get_stream("KV_tg_router").await.unwrap().cached_info().config.clone();
    let short = Config { max_age: Duration::from_millis(1_500), duplicate_window: Duration::from_secs(1), ..there };
    jetstream.update_stream(short).await.unwrap();
    let (updater, router) = (Peer::of(&served.nats, "admin").await, Peer::of(&served.nats, "admin").await);
    let roster = Roster::new(&Bus::without_store(updater.bus.clone()));
    let (of_router, name) = (Roster::new(&Bus::without_store(router.bus.clone())), "r".parse().unwrap());
    let heartbeat = Heartbeat { boot: "1".to_owned(), home: "h".to_owned(), beat_at: NOON, has_left: false };
    let word = Word { generation: 7, held: None };
    assert!(of_router.beat(&name, &heartbeat).await.unwrap());
    of_router.adopt(&name, "1", ("t.m", || Some(word))).await.unwrap();
    updater.sees(Bucket::Router, "both", |values| values.len() == 2).await;
    assert_eq!(roster.adopted(&name, &heartbeat, "t.m"), Some(word));
    updater.sees(Bucket::Router, "no value", Values::is_empty).await;
    assert_eq!(roster.heartbeat(&name), Some(heartbeat.clone()));
    assert_eq!(roster.adopted(&name, &heartbeat, "t.m"), Some(word));
    // The name is free again for whoever comes, and the next process is known.
    let next = Heartbeat { boot: "2".to_owned(), ..heartbeat };
    eventually("the name is free", async || of_router.beat(&name, &next).await.unwrap()).await;
    updater.sees(Bucket::Router, "the next one", |values| values.len() == 1).await;
    assert_eq!(roster.heartbeat(&name), Some(next));
}
