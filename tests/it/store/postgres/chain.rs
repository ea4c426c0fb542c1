//! The chain of a rollout's log: the same on both engines, and broken by whoever changes it.

use super::*;
use sqlx::{Connection as _, Row as _};

const HASHES: &str = "select hash from transition order by version";

/// A rollout that moved twice.
async fn log_of_three(store: &Store) {
    let first = rollout("a", "m", Stage::Queued);
    let second = next(&first, |next| next.stage = Stage::Preparing);
    done(store, open(first)).await;
    done(store, moved(&second, 1)).await;
    done(store, moved(&next(&second, |next| next.stage = Stage::Shifting), 2)).await;
}

#[tokio::test]
async fn the_same_log_has_the_same_hashes_on_both_engines() {
    let (server, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    log_of_three(&server.store().await).await;
    let embedded = Store::open(folder.path()).await.unwrap();
    log_of_three(&embedded).await;
    embedded.close().await;
    let url = format!("sqlite://{}", folder.path().join("tidegate.db").display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let theirs = sqlx::query(HASHES).fetch_all(&mut file).await.unwrap();
    let ours = sqlx::query(HASHES).fetch_all(&mut server.session().await).await.unwrap();
    let theirs: Vec<Vec<u8>> = theirs.iter().map(|row| row.get(0)).collect();
    assert_eq!(ours.iter().map(|row| row.get::<Vec<u8>, _>(0)).collect::<Vec<_>>(), theirs);
    assert_eq!(theirs.len(), 3);
}

#[tokio::test]
async fn an_entry_that_was_changed_or_taken_away_breaks_the_chain() {
    let server = Postgres::start();
    let store = server.store().await;
    log_of_three(&store).await;
    let broken = async || store.reader().await.unwrap().rows().broken_link(&id("a")).await.unwrap();
    assert_eq!(broken().await, None);
    server.say("create table kept as select * from transition").await;
    for (damage, link) in [
        ("update transition set actor = 'eve' where version = 2", 2),
        ("delete from transition where version = 2", 3),
        ("update transition set hash = '\\x00' where version = 2", 2),
    ] {
        server.say(damage).await;
        assert_eq!(broken().await, Some(link), "{damage}");
        server.say("delete from transition; insert into transition select * from kept").await;
    }
}
