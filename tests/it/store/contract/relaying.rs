//! Rows of the outbox that a relay publishes.

use super::*;

const LATER: At = At(NOON.0 + 1_000);

async fn say_to_relay(store: &Store, ids: &[&str]) -> Vec<i64> {
    let messages: Vec<_> = ids.iter().map(|id| message(id, NOON)).collect();
    let mut tx = store.begin().await.unwrap();
    let said = tx.say_to_relay(&messages, LATER).await.unwrap();
    tx.commit().await.unwrap();
    said.into_iter().map(|(position, _)| position).collect()
}

/// The ids of what is claimed at `now`, until a second later.
async fn claim(store: &Store, now: At, limit: i64) -> Vec<String> {
    let claimed = store.claim("api", (now, now.plus_ms(1_000)), limit).await.unwrap();
    claimed.into_iter().map(|placed| placed.message.message_id).collect()
}

async fn publish(store: &Store, rows: &[(i64, Option<i64>)], at: At) {
    let mut tx = store.begin().await.unwrap();
    tx.published(rows, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn waiting(store: &Store, most: i64) -> (i64, Option<At>) {
    store.reader().await.unwrap().rows().unpublished("api", most).await.unwrap()
}

async fn last_sequence(store: &Store, lane: &str) -> Option<i64> {
    let last = store.reader().await.unwrap().rows().last_sequence("api", lane).await.unwrap();
    last.map(|(sequence, _)| sequence)
}

#[tokio::test]
async fn what_is_said_waits_for_its_own_process_first_and_then_for_any() {
    with_store(async |store| {
        say_to_relay(&store, &["1", "2", "3"]).await;
        assert_eq!(say_to_relay(&store, &["1"]).await, [0_i64; 0], "it was said before");
        assert_eq!(claim(&store, LATER, 10).await, [""; 0], "it is claimed by who committed it");
        assert_eq!(claim(&store, At(LATER.0 + 1), 2).await, ["1", "2"]);
        assert_eq!(claim(&store, At(LATER.0 + 2), 10).await, ["3"], "what is claimed is left alone");
        assert_eq!(claim(&store, At(LATER.0 + 1_002), 10).await, ["1", "2"], "until its claim runs out");
        assert_eq!(store.claim("analyzer", (At(i64::MAX), NOON), 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_claimed_row_is_the_message_as_it_was_said() {
    with_store(async |store| {
        let positions = say_to_relay(&store, &["1"]).await;
        let claimed = store.claim("api", (At(LATER.0 + 1), LATER), 10).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].position, claimed[0].tries), (positions[0], 0));
        assert_eq!(claimed[0].message, message("1", NOON));
    })
    .await;
}

#[tokio::test]
async fn what_a_commit_published_waits_for_nobody() {
    with_store(async |store| {
        say(&store, &[message("1", NOON)]).await;
        assert_eq!(claim(&store, At(i64::MAX - 1_000), 10).await, [""; 0]);
        assert_eq!((waiting(&store, 10).await, last_sequence(&store, "").await), ((0, None), None));
        assert_eq!(store.publish_again("api", "", At(0)).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_published_waits_no_more_and_goes_when_it_is_old() {
    with_store(async |store| {
        let positions = say_to_relay(&store, &["1", "2", "3"]).await;
        assert_eq!((waiting(&store, 10).await, waiting(&store, 2).await), ((3, Some(NOON)), (2, Some(NOON))));
        publish(&store, &[(positions[0], Some(7)), (positions[1], None)], LATER).await;
        assert_eq!(waiting(&store, 10).await, (1, Some(NOON)));
        assert_eq!(claim(&store, At(LATER.0 + 1), 10).await, ["3"]);
        assert_eq!(store.forget_published("api", LATER).await.unwrap(), 0);
        assert_eq!(store.forget_published("analyzer", At(i64::MAX)).await.unwrap(), 0);
        assert_eq!(store.forget_published("api", At(LATER.0 + 1)).await.unwrap(), 2);
        let left = store.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap();
        assert_eq!(left.iter().map(|said| said.message_id.as_str()).collect::<Vec<_>>(), ["3"]);
    })
    .await;
}

#[tokio::test]
async fn a_try_in_vain_is_counted_and_comes_again_at_its_time() {
    with_store(async |store| {
        let positions = say_to_relay(&store, &["1", "2"]).await;
        store.postpone(&[(positions[0], NOON), (positions[1], At(LATER.0 + 500))]).await.unwrap();
        let claimed = store.claim("api", (LATER, At(LATER.0 + 100)), 10).await.unwrap();
        assert_eq!(
            claimed.iter().map(|placed| (placed.position, placed.tries)).collect::<Vec<_>>(),
            [(positions[0], 1)]
        );
        assert_eq!(claim(&store, At(LATER.0 + 501), 10).await, ["1", "2"]);
        // What another replica has published meanwhile is not tried again.
        publish(&store, &[(positions[0], Some(1))], LATER).await;
        store.postpone(&[(positions[0], NOON)]).await.unwrap();
        assert_eq!(claim(&store, At(LATER.0 + 5_000), 10).await, ["2"]);
    })
    .await;
}

#[tokio::test]
async fn what_a_stream_has_lost_is_published_again_as_far_as_it_is_kept() {
    with_store(async |store| {
        let positions = say_to_relay(&store, &["1", "2", "3"]).await;
        publish(&store, &[(positions[0], Some(7))], LATER).await;
        publish(&store, &[(positions[1], Some(9)), (positions[2], None)], At(LATER.0 + 1)).await;
        assert_eq!((last_sequence(&store, "tg.cmd.").await, last_sequence(&store, "tg.news.").await), (Some(9), None));
        assert_eq!(store.publish_again("api", "tg.news.", At(0)).await.unwrap(), 0);
        assert_eq!(store.publish_again("analyzer", "tg.cmd.", At(0)).await.unwrap(), 0);
        assert_eq!(store.publish_again("api", "tg.cmd.", At(LATER.0 + 1)).await.unwrap(), 1);
        assert_eq!(last_sequence(&store, "tg.cmd.").await, Some(7));
        assert_eq!(claim(&store, NOON, 10).await, ["2"], "at once");
        assert_eq!(store.publish_again("api", "tg.cmd.", At(0)).await.unwrap(), 1);
        assert_eq!(waiting(&store, 10).await.0, 2);
    })
    .await;
}
