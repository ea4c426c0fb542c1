//! Buckets: values with compare-and-set and watch.

use super::arms::Arm;
use super::*;
use ::chassis::{Bucket, Entry};
use futures_util::FutureExt as _;
use store::BusValue;

fn entry(revision: i64, value: &str) -> Entry {
    Entry { revision, value: value.to_owned() }
}

fn value(bus: &Bus, bucket: Bucket, key: &str) -> Option<Entry> {
    bus.watch(bucket).borrow().get(key).cloned()
}

/// Puts a value where nothing else happens, and gives its revision.
async fn put(arm: &Arm, bucket: Bucket, key: &str, revision: i64, value: &str) -> i64 {
    arm.put(bucket, key, entry(revision, value)).await.unwrap()
}

#[tokio::test]
async fn a_value_is_put_only_at_the_revision_that_was_read() {
    for arm in Arm::both().await {
        for bucket in [Bucket::Route, Bucket::Router] {
            assert_eq!(arm.put(bucket, "k", entry(1, "of nothing")).await, None);
            let one = put(&arm, bucket, "k", 0, "one").await;
            assert_eq!(arm.put(bucket, "k", entry(0, "again")).await, None);
            let two = put(&arm, bucket, "k", one, "two").await;
            assert!(two > one);
            assert_eq!(arm.put(bucket, "k", entry(one, "late")).await, None);
            put(&arm, bucket, "other", 0, "x").await;
            assert_eq!(arm.entry(bucket, "k"), Some(entry(two, "two")));
        }
    }
}

#[tokio::test]
async fn of_many_who_read_the_same_revision_one_wins() {
    for arm in Arm::both().await {
        let tries = (0..20).map(|number| arm.put(Bucket::Route, "k", entry(0, &number.to_string())).boxed());
        let won: Vec<_> = futures_util::future::join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!(arm.entry(Bucket::Route, "k").map(|entry| entry.revision), Some(won[0]));
    }
}

#[tokio::test]
async fn a_watch_sees_the_latest_value() {
    for arm in Arm::both().await {
        let mut watch = arm.watch(Bucket::Router);
        for number in 0..10 {
            arm.set(Bucket::Router, "k", &number.to_string()).await;
        }
        tokio::time::timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
        assert_eq!(watch.borrow_and_update()["k"].value, "9");
        assert!(!watch.has_changed().unwrap());
    }
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
    assert_eq!(bus.put(Bucket::Route, "k", entry(2, "three")).await.unwrap(), Some(3));
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
    assert_eq!(bus.put(Bucket::Route, "k", entry(1, "stale")).await.unwrap(), None);
    assert_eq!(value(bus, Bucket::Route, "k"), Some(entry(2, "two")));
    tokio::time::timeout(LIMIT, bus.set(Bucket::Route, "k", "three".to_owned())).await.unwrap().unwrap();
    assert_eq!(value(bus, Bucket::Route, "k"), Some(entry(3, "three")));
}
