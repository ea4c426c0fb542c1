//! Inbox, outbox, parked and suspect messages, values of the bus, and transactions.

use super::*;
use store::{BusValue, Parked};

#[tokio::test]
async fn a_service_marks_a_message_once_and_others_mark_it_for_themselves() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.mark(&[mark("analyzer", "1", NOON)]).await.unwrap(), 1);
        let again = Mark { settled: Settled::Refused, ..mark("analyzer", "1", NOON) };
        assert_eq!(tx.mark(&[again, mark("analyzer", "2", NOON)]).await.unwrap(), 1);
        assert_eq!(tx.mark(&[mark("deployer", "1", NOON)]).await.unwrap(), 1);
        let elsewhere = Mark { source: "/ci".to_owned(), ..mark("analyzer", "1", NOON) };
        assert_eq!(tx.mark(&[elsewhere]).await.unwrap(), 1);
        assert!(
            tx.rows().is_settled("analyzer", "/tidegate/api", "1").await.unwrap(),
            "a transaction sees what it wrote"
        );
        assert!(
            !store.reader().await.unwrap().rows().is_settled("analyzer", "/tidegate/api", "1").await.unwrap(),
            "others do not yet"
        );
        tx.commit().await.unwrap();
        let mut reader = store.reader().await.unwrap();
        assert!(reader.rows().is_settled("analyzer", "/tidegate/api", "1").await.unwrap());
        assert!(!reader.rows().is_settled("api", "/tidegate/api", "1").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn an_id_is_said_once_for_ever_and_positions_only_grow() {
    with_store(async |store| {
        let positions = say(&store, &[message("1", NOON), message("2", NOON), message("1", NOON)]).await;
        let [Some(first), Some(second), None] = positions[..] else { panic!("{positions:?}") };
        assert!(first < second);
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().last_position().await.unwrap(), second);
        assert!(reader.rows().is_said("2").await.unwrap() && !reader.rows().is_said("3").await.unwrap());
        let said = reader.rows().said_after(0, "", 10).await.unwrap();
        let read: Vec<_> =
            said.iter().map(|said| (said.position, said.message_id.as_str(), said.body.as_str())).collect();
        assert_eq!(
            read,
            [(first, "1", "{ \"kept\" : \"byte for byte\" }"), (second, "2", "{ \"kept\" : \"byte for byte\" }")]
        );
        assert_eq!(
            (said[0].service.as_str(), said[0].subject.as_str(), said[0].headers.as_str()),
            ("api", "tg.cmd.default.m.rollout.stop", r#"{"a":"é"}"#)
        );
        assert_eq!(reader.rows().said_after(first, "", 10).await.unwrap(), said[1..]);
        assert_eq!(reader.rows().said_after(0, "", 1).await.unwrap(), said[..1]);
        assert_eq!(reader.rows().said_after(0, "tg.cmd.", 10).await.unwrap(), said);
        assert_eq!(reader.rows().said_after(0, "tg.news.", 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_position_is_never_given_twice_even_after_its_row_is_gone() {
    with_store(async |store| {
        let first = say(&store, &[message("1", At(0))]).await[0].unwrap();
        assert!(store.sweep(first, NOON, NOON).await.unwrap() >= 1);
        assert!(say(&store, &[message("2", NOON)]).await[0].unwrap() > first);
    })
    .await;
}

#[tokio::test]
async fn headers_that_are_not_json_are_refused() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        let error = tx.say(&[Outgoing { headers: "{".to_owned(), ..message("1", NOON) }]).await.unwrap_err();
        assert_eq!(error.class(), Class::Never);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_parked_once_with_all_its_bytes() {
    with_store(async |store| {
        let parked = |id: &str, message_id: &str, at| Parked {
            id: id.to_owned(),
            service: "analyzer".to_owned(),
            source: "/ci".to_owned(),
            message_id: message_id.to_owned(),
            subject: "tg.cmd.x".to_owned(),
            reason: "malformed".to_owned(),
            error: "why".to_owned(),
            headers: "{}".to_owned(),
            body: vec![0, 159, 146, 150],
            tries: 2,
            first_seen_at: At(1),
            parked_at: At(at),
            replayed_at: None,
            replayed_by: None,
        };
        let mut tx = store.begin().await.unwrap();
        for row in [parked("a.1", "1", 5), parked("a.2", "2", 6), parked("a.9", "1", 7)] {
            tx.park(&row).await.unwrap();
        }
        tx.commit().await.unwrap();
        let rows = store.reader().await.unwrap().rows().parked((At(i64::MAX), ""), 10).await.unwrap();
        let rows: Vec<_> =
            rows.iter().map(|row| (row.id.as_str(), row.body.as_slice(), row.tries, row.parked_at.0)).collect();
        assert_eq!(rows, [("a.2", [0, 159, 146, 150].as_slice(), 2, 6), ("a.1", [0, 159, 146, 150].as_slice(), 2, 5)]);
    })
    .await;
}

#[tokio::test]
async fn suspicions_are_counted_for_each_message_until_it_is_trusted() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        for tries in 1..=3 {
            assert_eq!(tx.suspect("analyzer", "/ci", "1", NOON).await.unwrap(), tries);
        }
        assert_eq!(tx.suspect("deployer", "/ci", "1", NOON).await.unwrap(), 1);
        tx.trust("analyzer", "/ci", "1").await.unwrap();
        tx.trust("analyzer", "/ci", "never suspected").await.unwrap();
        assert_eq!(tx.suspect("analyzer", "/ci", "1", NOON).await.unwrap(), 1);
        assert_eq!(tx.suspect("deployer", "/ci", "1", NOON).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_bus_value_is_put_only_at_the_revision_that_was_read() {
    with_store(async |store| {
        let put = async |bucket: &str, key: &str, revision: i64, value: &str| {
            let mut tx = store.begin().await.unwrap();
            let value = BusValue { key: key.to_owned(), revision, value: value.to_owned() };
            let won = tx.put_bus_value(bucket, &value, NOON).await.unwrap();
            tx.commit().await.unwrap();
            won
        };
        assert!(!put("b", "k", 3, "of nothing").await);
        assert!(put("b", "k", 0, "one").await);
        assert!(!put("b", "k", 0, "again").await);
        assert!(put("b", "k", 1, "two").await);
        assert!(!put("b", "k", 1, "stale").await);
        assert!(put("b", "a", 0, "other key").await);
        assert!(put("c", "k", 0, "other bucket").await);
        let value =
            |key: &str, revision, value: &str| BusValue { key: key.to_owned(), revision, value: value.to_owned() };
        let values = store.reader().await.unwrap().rows().bus_values("b").await.unwrap();
        assert_eq!(values, [value("a", 1, "other key"), value("k", 2, "two")]);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_changes_nothing_and_holds_nobody_up() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        tx.apply(&open(rollout("a", "m", Stage::Queued))).await.unwrap();
        tx.mark(&[mark("analyzer", "1", NOON)]).await.unwrap();
        tx.say(&[message("1", NOON)]).await.unwrap();
        tx.suspect("analyzer", "/ci", "1", NOON).await.unwrap();
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.rows().rollout(&id("a")).await.unwrap(), None);
        assert!(!tx.rows().is_settled("analyzer", "/tidegate/api", "1").await.unwrap());
        assert_eq!(tx.rows().last_position().await.unwrap(), 0);
        assert_eq!(tx.suspect("analyzer", "/ci", "1", NOON).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_statement_leaves_the_rest_of_its_transaction_to_be_rolled_back() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        tx.apply(&open(rollout("a", "m", Stage::Preparing))).await.unwrap();
        tx.apply(&open(rollout("b", "m", Stage::Preparing))).await.unwrap_err();
        drop(tx);
        assert_eq!(store.reader().await.unwrap().rows().rollout(&id("a")).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn transactions_that_come_at_once_all_come_through() {
    with_store(async |store| {
        let one = async |number: i64| {
            let mut tx = store.begin().await.unwrap();
            tx.say(&[message(&number.to_string(), NOON)]).await.unwrap();
            tx.commit().await.unwrap();
        };
        futures_util::future::join_all((0..50).map(one)).await;
        assert_eq!(store.reader().await.unwrap().rows().said_after(0, "", 100).await.unwrap().len(), 50);
    })
    .await;
}
