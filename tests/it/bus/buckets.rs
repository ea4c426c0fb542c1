//! Buckets: values with compare-and-set and watch.

use super::*;
use ::chassis::{Bucket, Entry};
use store::BusValue;

fn entry(revision: i64, value: &str) -> Entry {
    Entry { revision, value: value.to_owned() }
}

fn value(bus: &Bus, bucket: Bucket, key: &str) -> Option<Entry> {
    bus.watch(bucket).borrow().get(key).cloned()
}

#[tokio::test]
async fn a_value_is_put_only_at_the_revision_that_was_read() {
    let process = Process::start().await;
    let bus = &process.core.bus;
    for bucket in [Bucket::Route, Bucket::Router] {
        assert!(!bus.put(bucket, "k", entry(1, "of nothing")).await.unwrap());
        assert!(bus.put(bucket, "k", entry(0, "one")).await.unwrap());
        assert!(!bus.put(bucket, "k", entry(0, "again")).await.unwrap());
        assert!(bus.put(bucket, "k", entry(1, "two")).await.unwrap());
        assert!(bus.put(bucket, "other", entry(0, "x")).await.unwrap());
        assert_eq!(value(bus, bucket, "k"), Some(entry(2, "two")));
    }
}

#[tokio::test]
async fn of_many_who_read_the_same_revision_one_wins() {
    let process = Process::start().await;
    let tries = (0..20).map(|number| {
        let bus = process.core.bus.clone();
        async move { bus.put(Bucket::Route, "k", entry(0, &number.to_string())).await.unwrap() }
    });
    let won = futures_util::future::join_all(tries).await;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(value(&process.core.bus, Bucket::Route, "k").map(|entry| entry.revision), Some(1));
}

#[tokio::test]
async fn a_watch_sees_the_latest_value() {
    let process = Process::start().await;
    let mut watch = process.core.bus.watch(Bucket::Router);
    for number in 0..10 {
        process.core.bus.set(Bucket::Router, "k", number.to_string()).await.unwrap();
    }
    tokio::time::timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
    assert_eq!(watch.borrow_and_update().get("k"), Some(&entry(10, "9")));
    assert!(!watch.has_changed().unwrap());
}

#[tokio::test]
async fn a_kept_bucket_outlives_the_process_and_the_other_does_not() {
    let process = Process::start().await;
    for bucket in [Bucket::Route, Bucket::Router] {
        process.core.bus.set(bucket, "k", "one".to_owned()).await.unwrap();
        process.core.bus.set(bucket, "k", "two".to_owned()).await.unwrap();
    }
    let process = process.restart().await;
    let bus = &process.core.bus;
    assert_eq!((value(bus, Bucket::Route, "k"), value(bus, Bucket::Router, "k")), (Some(entry(2, "two")), None));
    assert!(bus.put(Bucket::Route, "k", entry(2, "three")).await.unwrap());
}

#[tokio::test]
async fn a_put_of_which_nobody_heard_the_end_does_not_lock_the_key() {
    let process = Process::start().await;
    let bus = &process.core.bus;
    bus.set(Bucket::Route, "k", "one".to_owned()).await.unwrap();
    // What is left of a put that was given up while its commit was under way.
    let mut tx = process.core.store.begin().await.unwrap();
    let unheard = BusValue { key: "k".to_owned(), revision: 1, value: "two".to_owned() };
    assert!(tx.put_bus_value(Bucket::Route.name(), &unheard, NOON).await.unwrap());
    tx.commit().await.unwrap();
    assert!(!bus.put(Bucket::Route, "k", entry(1, "stale")).await.unwrap());
    assert_eq!(value(bus, Bucket::Route, "k"), Some(entry(2, "two")));
    tokio::time::timeout(LIMIT, bus.set(Bucket::Route, "k", "three".to_owned())).await.unwrap().unwrap();
    assert_eq!(value(bus, Bucket::Route, "k"), Some(entry(3, "three")));
}
