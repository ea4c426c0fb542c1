//! Connections and servers that are lost, and what is found after it: everything of a transaction, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

/// A step: a mark, a rollout, and what is said about it.
async fn step(store: &Store, name: &str) -> Result<store::Tx, Error> {
    let mut tx = store.begin().await?;
    tx.mark(&[mark("stage-scheduler", name, NOON)]).await?;
    tx.apply(&open(rollout(name, name, Stage::Queued))).await?;
    tx.say(&[message(name, NOON)]).await?;
    Ok(tx)
}

/// Whether the step happened; it panics when it did so by half.
async fn happened(store: &Store, name: &str) -> bool {
    let mut tx = store.begin().await.unwrap();
    let mut rows = tx.rows();
    let marked = rows.is_settled("stage-scheduler", "/tidegate/api", name).await.unwrap();
    let opened = rows.rollout(&id(name)).await.unwrap().is_some();
    let said = rows.said_after(0, "", 100).await.unwrap().iter().any(|said| said.message_id == name);
    assert_eq!((opened, said), (marked, marked), "half of {name} is there");
    marked
}

#[tokio::test]
async fn a_connection_that_is_cut_in_mid_transaction_is_tried_again_and_nothing_is_half_done() {
    let server = Postgres::start();
    let store = server.store().await;
    let mut tx = step(&store, "cut").await.unwrap();
    server.say("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidegate'").await;
    server.until("select count(*) = $1 from pg_stat_activity where application_name = 'tidegate'", 0).await;
    assert_eq!(tx.say(&[message("more", NOON)]).await.unwrap_err().class(), Class::Transient);
    assert_eq!(tx.commit().await.unwrap_err().class(), Class::Transient);
    assert!(!happened(&store, "cut").await);
    step(&store, "cut").await.unwrap().commit().await.unwrap();
    assert!(happened(&store, "cut").await);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again_with_all_that_was_committed() {
    let mut server = Postgres::start_with(&[]);
    let store = server.store().await;
    step(&store, "before").await.unwrap().commit().await.unwrap();
    let open = step(&store, "during").await.unwrap();
    server.crash();
    assert_eq!(open.commit().await.unwrap_err().class(), Class::Transient);
    let refused = store.begin().await.map(drop).unwrap_err();
    assert_eq!(refused.class(), Class::Transient, "{refused:?}");
    server.start_again();
    // Connections of before cost those who get them a failure at most.
    let mut tries = 0;
    while let Err(error) = step(&store, "after").await {
        tries += 1;
        assert!(error.class() == Class::Transient && tries < 4, "{error:?}");
    }
    assert!(happened(&store, "before").await && !happened(&store, "during").await);
}

/// Passes on what is said.
const OPEN: u8 = 0;
/// The server's answers are lost, and then the connection.
const DEAF: u8 = 1;
/// What the client says is lost, and then the connection.
const DUMB: u8 = 2;

/// What anybody says is lost, and nobody is told.
const SILENT: u8 = 3;

/// Stands between a server and its clients; gives its address.
async fn between(server: &Postgres, state: Arc<AtomicU8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, socket) = (listener.local_addr().unwrap(), server.socket());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(pass(from_client, to_server, state.clone(), DUMB));
            tokio::spawn(pass(from_server, to_client, state.clone(), DEAF));
        }
    });
    format!("postgres://postgres@{address}/tidegate?sslmode=disable")
}

/// Passes on what is said, until something is said in the state that loses it.
async fn pass(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    state: Arc<AtomicU8>,
    losing: u8,
) {
    let mut bytes = [0; 65_536];
    while let Ok(count) = from.read(&mut bytes).await {
        if count > 0 && state.load(Ordering::Acquire) == SILENT {
            continue;
        }
        if count == 0 || state.load(Ordering::Acquire) == losing || to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn after_a_commit_without_an_answer_the_mark_tells_whether_it_happened() {
    let server = Postgres::start();
    let state = Arc::new(AtomicU8::new(OPEN));
    let store = server.store().await;
    let through = Store::connect(&between(&server, state.clone()).await, 1).await.unwrap();
    for (losing, name, expected) in [(DEAF, "deaf", true), (DUMB, "dumb", false)] {
        state.store(OPEN, Ordering::Release);
        let tx = loop {
            // The connection that was lost last costs one failure.
            match step(&through, name).await {
                Ok(tx) => break tx,
                Err(error) => assert_eq!(error.class(), Class::Transient, "{error:?}"),
            }
        };
        state.store(losing, Ordering::Release);
        let error = tx.commit().await.unwrap_err();
        assert_eq!((error.class(), error.to_string()), (Class::Transient, "database: commit".to_owned()));
        server.until("select count(*) = $1 from pg_stat_activity where state = 'idle in transaction' or state = 'active' and pid <> pg_backend_pid()", 0).await;
        assert_eq!(happened(&store, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_is_out_of_reach_is_waited_for_no_longer_than_ten_seconds() {
    let server = Postgres::start();
    let state = Arc::new(AtomicU8::new(OPEN));
    let store = server.store().await;
    let through = Store::connect(&between(&server, state.clone()).await, 1).await.unwrap();
    let mut tx = step(&through, "silent").await.unwrap();
    state.store(SILENT, Ordering::Release);
    let said = tokio::time::timeout(Duration::from_secs(15), tx.say(&[message("more", NOON)])).await.unwrap();
    assert_eq!(said.unwrap_err().class(), Class::Transient);
    assert!(!happened(&store, "silent").await);
}

#[tokio::test]
async fn what_a_role_may_not_do_is_a_fault_of_the_service_and_bad_text_one_of_the_message() {
    let server = Postgres::start();
    let owner = server.store().await;
    server.say("create role reader login; grant select on all tables in schema public to reader").await;
    let reader = Store::connect(&server.url_of("reader"), 1).await.unwrap();
    let mut tx = reader.begin().await.unwrap();
    assert_eq!(tx.mark(&[mark("api", "1", NOON)]).await.unwrap_err().class(), Class::Code);
    drop(tx);
    let mut row = rollout("a", "m", Stage::Queued);
    row.requested_by = "nul \0".to_owned();
    assert_eq!(class(&owner, open(row)).await, Class::Never, "PostgreSQL keeps no text with U+0000");
}

#[tokio::test]
async fn connections_that_died_in_the_pool_cost_nobody_a_failure() {
    let server = Postgres::start();
    let store = server.store().await;
    let all = futures_util::future::join_all((0..4).map(|_| store.begin())).await;
    drop(all.into_iter().map(Result::unwrap).collect::<Vec<_>>());
    server
        .until("select count(*) = $1 from pg_stat_activity where application_name = 'tidegate' and state = 'idle'", 4)
        .await;
    server.say("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidegate'").await;
    server.until("select count(*) = $1 from pg_stat_activity where application_name = 'tidegate'", 0).await;
    // Each of the four is found dead by its first statement.
    assert!(store.begin().await.is_ok());
}
