//! The sweep takes away only what is old and what everybody has passed.

use super::judging::{baseline, observation};
use super::serving::answer;
use super::*;
use store::SWEEP;

const DAY: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn messages_go_only_when_they_are_old_and_passed() {
    with_store(async |store| {
        let positions = say(
            &store,
            &[message("old", At(NOON.0 - 10)), message("young", NOON), message("not passed", At(NOON.0 - 10))],
        )
        .await;
        assert_eq!(store.sweep(positions[1].unwrap(), NOON, NOON).await.unwrap(), 1);
        let left = store.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap();
        assert_eq!(left.iter().map(|said| said.message_id.as_str()).collect::<Vec<_>>(), ["young", "not passed"]);
        assert_eq!(store.sweep(0, At(i64::MAX), NOON).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn marks_of_every_service_go_after_eight_days() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        for service in ["analyzer", "api", "stage-scheduler"] {
            tx.mark(&[mark(service, "old", At(NOON.0 - 8 * DAY - 1))]).await.unwrap();
            tx.mark(&[mark(service, "young", At(NOON.0 - 8 * DAY))]).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(store.sweep(0, NOON, NOON).await.unwrap(), 3);
        let mut reader = store.reader().await.unwrap();
        for service in ["analyzer", "api", "stage-scheduler"] {
            assert!(!reader.rows().is_settled(service, "/tidegate/api", "old").await.unwrap());
            assert!(reader.rows().is_settled(service, "/tidegate/api", "young").await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn answers_and_samples_go_when_they_are_out_of_use() {
    with_store(async |store| {
        let (old, young) = (NOON.0 - DAY - 1, NOON.0 - DAY);
        for (key, at) in [("old", old), ("young", young)] {
            done(&store, Change::Idempotency(Box::new(answer(key, At(at))))).await;
            done(&store, Change::Observe(Box::new(observation(key, at)))).await;
        }
        for minute in [NOON.0 - 2 * 60 * 60 * 1000 - 1, NOON.0 - 2 * 60 * 60 * 1000] {
            done(&store, Change::Baseline(Box::new(baseline(minute, json!({}))))).await;
        }
        assert_eq!(store.sweep(0, NOON, NOON).await.unwrap(), 3);
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().answered(&tenant(), "old").await.unwrap(), None);
        assert_eq!(reader.rows().answered(&tenant(), "young").await.unwrap(), Some(answer("young", At(young))));
        assert_eq!(reader.rows().observations(&tenant(), &model("m")).await.unwrap(), [observation("young", young)]);
        assert_eq!(reader.rows().baselines((&tenant(), &model("m"), &version("1.0")), At(0)).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_is_bounded_and_says_that_there_is_more() {
    with_store(async |store| {
        let mut tx = store.begin().await.unwrap();
        for number in 0..SWEEP + 3 {
            tx.say(&[message(&number.to_string(), At(0))]).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(store.sweep(i64::MAX, NOON, NOON).await.unwrap(), SWEEP);
        assert_eq!(store.sweep(i64::MAX, NOON, NOON).await.unwrap(), 3);
    })
    .await;
}
