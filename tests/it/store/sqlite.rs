//! The contract on SQLite, and what its one writer promises beside it.

use super::*;

#[path = "contract/all.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine runs the same tests")]
mod contract;

async fn with_store(test: impl AsyncFn(Store)) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    test(store.clone()).await;
    store.close().await;
}

#[tokio::test]
async fn transactions_that_come_at_once_wait_for_each_other() {
    with_store(async |store| {
        let one = async |number: i64| {
            let mut tx = store.begin().await.unwrap();
            let at = tx.rows().last_position().await.unwrap();
            tx.say(&[message(&number.to_string(), NOON)]).await.unwrap();
            tx.commit().await.unwrap();
            at
        };
        let mut seen = futures_util::future::join_all((0..50).map(one)).await;
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    })
    .await;
}
