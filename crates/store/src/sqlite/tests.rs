//! What only the engine itself can tell: settings, plans of statements, the chain of the log, schemas.

use std::path::Path;

use sqlx::Row as _;

use super::statements::{chassis, judging, log, notifying, registry, relay, rollouts, serving};
use super::*;
use crate::Store;
use crate::change::{Change, Written};
use crate::rows::Transition;
use rollout::{At, Match, Model, Plan, Request, Rollout, RolloutId, Tenant, Version, Workload};

async fn opened(folder: &Path) -> Sqlite {
    Sqlite::open(folder).await.unwrap()
}

async fn setting(pool: &SqlitePool, name: &'static str) -> String {
    let row = sqlx::query(name).fetch_one(pool).await.unwrap();
    row.try_get::<String, _>(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string())
}

#[tokio::test]
async fn every_connection_has_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    for pool in [&sqlite.writer, &sqlite.readers] {
        assert_eq!(setting(pool, "pragma journal_mode").await, "wal");
        assert_eq!(setting(pool, "pragma synchronous").await, "2");
        assert_eq!(setting(pool, "pragma foreign_keys").await, "1");
        assert_eq!(setting(pool, "pragma busy_timeout").await, "5000");
    }
    assert_eq!(setting(&sqlite.readers, "pragma query_only").await, "1");
    assert_eq!(setting(&sqlite.writer, "pragma query_only").await, "0");
}

/// How SQLite would run a statement, line by line.
async fn plan(sqlite: &Sqlite, statement: &str) -> Vec<String> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("explain query plan {statement}")))
        .fetch_all(&sqlite.writer)
        .await
        .unwrap();
    rows.iter().map(|row| row.get::<String, _>(3)).collect()
}

/// No tables: the names of services that a recursion found, a row without a table, the rows that a statement was given, or that its
/// inner one found.
const WALKS: [&str; 4] = ["SCAN named", "SCAN CONSTANT ROW", "SCAN listed VIRTUAL TABLE INDEX 1:", "SCAN waiting"];

#[tokio::test]
async fn due_lists_and_sweeps_read_an_index_and_never_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    let statements = [
        (rollouts::DUE, "rollout_due"),
        (judging::DUE, "judge_due"),
        (serving::DUE, "workload_due"),
        (notifying::NEXT, "delivery_due"),
        (chassis::SAID_AFTER, "INTEGER PRIMARY KEY"),
        (chassis::FORGET_SAID, "INTEGER PRIMARY KEY"),
        (dialect::FORGET_MARKS, "inbox_by_age"),
        (chassis::IS_SETTLED, "sqlite_autoindex_inbox_1"),
        (relay::CLAIM, "outbox_published"),
        (relay::UNPUBLISHED, "outbox_published"),
        (relay::PUBLISHED, "INTEGER PRIMARY KEY"),
        (relay::POSTPONE, "INTEGER PRIMARY KEY"),
        (relay::PUBLISH_AGAIN, "outbox_published"),
        (relay::LAST_SEQUENCE, "outbox_published"),
        (relay::FORGET, "outbox_published"),
        (registry::PROMOTIONS, "promotion_by_model"),
        (rollouts::LIVE, "rollout_one_live"),
        (rollouts::SCENE_HELD, "sqlite_autoindex_rollout_1"),
        (rollouts::SCENES_HELD, "sqlite_autoindex_rollout_1"),
        (rollouts::SCENE_HELD, "rollout_one_live"),
        (rollouts::SCENE_HELD, "sqlite_autoindex_route_1"),
    ];
    for (statement, index) in statements {
        let plan = plan(&sqlite, statement).await;
        assert!(plan.iter().any(|line| line.contains(index)), "{statement}: {plan:?}");
        let whole: Vec<_> =
            plan.iter().filter(|line| line.starts_with("SCAN") && !WALKS.contains(&line.as_str())).collect();
        assert!(whole.is_empty(), "{statement}: {plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{statement}: {plan:?}");
    }
}

fn entry() -> Transition {
    Transition {
        rollout_id: RolloutId::of("/test", "1"),
        version: 1,
        from_stage: "none".to_owned(),
        to_stage: "queued".to_owned(),
        step: 0,
        fact_kind: "requested".to_owned(),
        fact_source: "/tidegate/api".to_owned(),
        fact_id: "1".to_owned(),
        fact: serde_json::json!({ "kind": "requested" }),
        actor: "ann".to_owned(),
        reason: None,
        evidence: None,
        decided_at: At(1),
    }
}

fn hash(entry: &Transition) -> Vec<u8> {
    let evidence = entry.evidence.as_ref().map(ToString::to_string);
    log::chained(b"previous", entry, &entry.fact.to_string(), evidence.as_deref())
}

#[test]
fn any_other_entry_has_another_hash() {
    let changes: [fn(&mut Transition); 15] = [
        |_| {},
        |entry| entry.rollout_id = RolloutId::of("/test", "2"),
        |entry| entry.version = 2,
        |entry| entry.from_stage = "queued".to_owned(),
        |entry| entry.to_stage = "rejected".to_owned(),
        |entry| (entry.from_stage, entry.to_stage) = ("non".to_owned(), "equeued".to_owned()),
        |entry| entry.step = 1,
        |entry| entry.fact_kind = "commanded".to_owned(),
        |entry| entry.fact_source = "/ci".to_owned(),
        |entry| entry.fact_id = "2".to_owned(),
        |entry| entry.fact = serde_json::json!({ "kind": "commanded" }),
        |entry| entry.actor = "bob".to_owned(),
        |entry| entry.reason = Some(String::new()),
        |entry| entry.evidence = Some(serde_json::json!("")),
        |entry| entry.decided_at = At(2),
    ];
    let mut hashes: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut entry = entry();
            change(&mut entry);
            hash(&entry)
        })
        .collect();
    hashes.push(log::chained(b"other", &entry(), &entry().fact.to_string(), None));
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

fn row() -> Rollout {
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    let workload = Workload {
        upstream: "http://127.0.0.1:9".to_owned(),
        headers: std::collections::BTreeMap::new(),
        health: rollout::Health::default(),
        matches: Match::default_for(&tenant, &model),
    };
    let request = Request {
        id: entry().rollout_id,
        tenant,
        model,
        candidate: Version::new("2").unwrap(),
        workload,
        requested_by: "ann".to_owned(),
        plan: Plan::activate(),
    };
    Rollout { wake_at: Some(At(2)), ..Rollout::requested(request, At(1)) }
}

/// A rollout that moved twice.
async fn log_of_three(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for version in 1..=3 {
        let entry = Box::new(Transition { version, fact_id: version.to_string(), ..entry() });
        let row = Box::new(Rollout { version, ..row() });
        let change = match version {
            1 => Change::Open { row, salt: String::new(), entry },
            _ => Change::Move { row, from_version: version - 1, entry },
        };
        assert_eq!(tx.apply(&change).await.unwrap(), Written::Done);
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn each_entry_of_the_log_holds_the_hash_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    let store = Store::Sqlite(sqlite.clone());
    log_of_three(&store).await;
    let rows = sqlx::query("select previous_hash, hash from transition order by version")
        .fetch_all(&sqlite.writer)
        .await
        .unwrap();
    let chain: Vec<(Vec<u8>, Vec<u8>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(chain[0].0.is_empty());
    assert!(chain.windows(2).all(|pair| pair[0].1 == pair[1].0));
    assert!(chain.iter().all(|(_, hash)| hash.len() == 32));
}

#[tokio::test]
async fn an_entry_that_was_changed_or_taken_away_breaks_the_chain() {
    for damage in [
        "update transition set actor = 'eve' where version = 2",
        "delete from transition where version = 2",
        "update transition set hash = x'00' where version = 2",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = opened(folder.path()).await;
        let store = Store::Sqlite(sqlite.clone());
        log_of_three(&store).await;
        let broken = async || store.reader().await.unwrap().rows().broken_link(&entry().rollout_id).await.unwrap();
        assert_eq!(broken().await, None);
        sqlx::query(damage).execute(&sqlite.writer).await.unwrap();
        assert_eq!(broken().await, Some(if damage.starts_with("delete") { 3 } else { 2 }), "{damage}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (99, 'later', 1, x'00', 1)";
    sqlx::query(newer).execute(&sqlite.writer).await.unwrap();
    sqlite.close().await;
    drop(sqlite);
    let refusal = Sqlite::open(folder.path()).await.unwrap_err();
    let file = folder.path().join("tidegate.db");
    let expected = format!(
        "{} was made by a newer tidegate (schema 99, this one knows {}); start the newer release",
        file.display(),
        super::SCHEMA.last().unwrap().0
    );
    assert_eq!((refusal.to_string(), refusal.class()), (expected, Class::Code));
}

#[tokio::test]
async fn a_schema_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    sqlx::query("update _sqlx_migrations set checksum = x'00'").execute(&sqlite.writer).await.unwrap();
    sqlite.close().await;
    drop(sqlite);
    assert!(matches!(Sqlite::open(folder.path()).await.unwrap_err(), Error::Damaged { .. }));
}

#[tokio::test]
async fn a_database_that_is_busy_or_full_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.db");
    drop(opened(folder.path()).await);
    let other = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&file)).await.unwrap();
    let mut holder = other.acquire().await.unwrap();
    let full = sqlx::query("pragma max_page_count = 1").fetch_one(&mut *holder).await.unwrap().get::<i64, _>(0);
    sqlx::query(sqlx::AssertSqlSafe(format!("pragma max_page_count = {full}"))).execute(&mut *holder).await.unwrap();
    let error = sqlx::query("create table filler as with recursive n (x) as (select 1 union all select x + 1 from n limit 100000) select x, hex(zeroblob(100)) from n")
        .execute(&mut *holder)
        .await
        .unwrap_err();
    let error = unsound(&file)(error);
    assert_eq!((error.class(), error.to_string()), (Class::Transient, "database: open".to_owned()));
}

#[tokio::test]
async fn a_writer_that_sqlite_rolled_back_by_itself_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = opened(folder.path()).await;
    let mut tx = sqlite.begin().await.unwrap();
    // As SQLite does by itself on a full disk.
    sqlx::query("rollback").execute(&mut *tx).await.unwrap();
    drop(tx);
    for _ in 0..2 {
        sqlite.begin().await.unwrap().commit().await.unwrap();
    }
}
