//! Targets, workloads, and answers to writes that named a key.

use super::*;
use store::{Due, IdempotencyRow, TargetRow, WorkloadRow};

fn target(desired_generation: i64, applied_generation: i64) -> TargetRow {
    TargetRow {
        target_id: "routers/default/m".to_owned(),
        desired_generation,
        applied_generation,
        request: Some(format!("a.{desired_generation}.0")),
        observed: Some(json!({ "routers": ["r1"] })),
        error: Some("not confirmed by r2".to_owned()),
        observed_at: NOON,
        drift_at: None,
    }
}

#[tokio::test]
async fn a_target_never_goes_back_to_an_older_wish() {
    with_store(async |store| {
        for row in [target(2, 1), target(2, 2), target(1, 1)] {
            done(&store, Change::Target(Box::new(row))).await;
        }
        let there = store.reader().await.unwrap().rows().target("routers/default/m").await.unwrap();
        assert_eq!(there, Some(target(2, 2)));
    })
    .await;
}

#[tokio::test]
async fn what_a_target_says_leaves_its_drift_as_it_was_noted() {
    with_store(async |store| {
        let drifted = |since| Change::Drifted { target_id: target(1, 1).target_id, since };
        for change in [drifted(Some(NOON)), Change::Target(Box::new(target(1, 1))), drifted(Some(NOON))] {
            done(&store, change).await;
        }
        done(&store, Change::Target(Box::new(target(2, 2)))).await;
        let there = async || store.reader().await.unwrap().rows().target(&target(1, 1).target_id).await.unwrap();
        assert_eq!(there().await, Some(TargetRow { drift_at: Some(NOON), ..target(2, 2) }));
        done(&store, drifted(None)).await;
        assert_eq!(there().await, Some(target(2, 2)));
    })
    .await;
}

#[tokio::test]
async fn a_target_is_never_ahead_of_its_wish() {
    with_store(async |store| assert_eq!(class(&store, Change::Target(Box::new(target(1, 2)))).await, Class::Never))
        .await;
}

fn probing(name: &str, attempt: i64, wake_at: Option<i64>) -> WorkloadRow {
    WorkloadRow {
        rollout_id: id(name),
        request: json!({ "message_id": "x", "nested": { "deep": [0.1] } }),
        attempt,
        state: "probing".to_owned(),
        error: Some("connection refused".to_owned()),
        tries: 4,
        wake_at: wake_at.map(At),
    }
}

fn workload_from(row: WorkloadRow, from: Option<(i64, i64)>) -> Change {
    Change::Workload { row: Box::new(row), from }
}

#[tokio::test]
async fn a_workload_is_written_once_from_what_was_read_of_it() {
    with_store(async |store| {
        let (first, second) = (probing("a", 1, Some(1)), WorkloadRow { tries: 5, ..probing("a", 1, Some(2)) });
        lost(&store, workload_from(first.clone(), Some((1, 3)))).await;
        done(&store, workload_from(first, None)).await;
        lost(&store, workload_from(probing("a", 1, Some(9)), None)).await;
        done(&store, workload_from(second.clone(), Some((1, 4)))).await;
        lost(&store, workload_from(WorkloadRow { tries: 5, ..probing("a", 1, Some(9)) }, Some((1, 4)))).await;
        assert_eq!(store.reader().await.unwrap().rows().workload(&id("a")).await.unwrap(), Some(second));
        let anew = WorkloadRow { tries: 0, ..probing("a", 2, Some(3)) };
        done(&store, workload_from(anew.clone(), Some((1, 5)))).await;
        lost(&store, workload_from(WorkloadRow { tries: 6, ..probing("a", 1, None) }, Some((1, 5)))).await;
        assert_eq!(store.reader().await.unwrap().rows().workload(&id("a")).await.unwrap(), Some(anew));
        let unknown = WorkloadRow { state: "asleep".to_owned(), ..probing("b", 3, None) };
        assert_eq!(class(&store, workload_from(unknown, None)).await, Class::Never);
    })
    .await;
}

#[tokio::test]
async fn due_workloads_come_in_order_without_those_that_wait_for_nothing() {
    with_store(async |store| {
        for (name, wake_at) in [("late", Some(30)), ("early", Some(10)), ("ready", None), ("after", Some(40))] {
            done(&store, workload_from(probing(name, 1, wake_at), None)).await;
        }
        let due = |name, wake_at| Due { rollout_id: id(name), version: 4, wake_at: At(wake_at) };
        assert_eq!(
            store.reader().await.unwrap().rows().due_workloads(At(40), 10).await.unwrap(),
            [due("early", 10), due("late", 30)]
        );
    })
    .await;
}

pub(super) fn answer(key: &str, created_at: At) -> IdempotencyRow {
    IdempotencyRow {
        tenant: tenant(),
        key: key.to_owned(),
        request_hash: vec![0, 255, 7],
        message_id: format!("cmd.{key}"),
        answer: json!({ "status": 202 }),
        created_at,
    }
}

#[tokio::test]
async fn the_first_answer_to_a_key_stays() {
    with_store(async |store| {
        done(&store, Change::Idempotency(Box::new(answer("k", NOON)))).await;
        lost(
            &store,
            Change::Idempotency(Box::new(IdempotencyRow { message_id: "other".to_owned(), ..answer("k", NOON) })),
        )
        .await;
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().answered(&tenant(), "k").await.unwrap(), Some(answer("k", NOON)));
        assert_eq!(reader.rows().answered(&Tenant::new("acme").unwrap(), "k").await.unwrap(), None);
    })
    .await;
}
