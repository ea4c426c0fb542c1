//! The schema of the two engines, and who may use which.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use sqlx::{Connection as _, Row as _};

/// One column: its kind, and whether it may be missing.
type Column = (&'static str, bool);

/// What an engine has: columns of tables, and the names of constraints and indexes, each with its table.
struct Schema {
    columns: BTreeMap<(String, String), Column>,
    names: BTreeSet<(String, String)>,
}

/// The kinds of columns, as PostgreSQL and SQLite call them.
fn kind(name: &str) -> &'static str {
    match name {
        "text" | "TEXT" => "text",
        "bigint" | "INTEGER" => "int",
        "bytea" | "BLOB" => "bytes",
        "double precision" | "REAL" => "real",
        other => panic!("no kind of column is called {other}"),
    }
}

async fn of_postgres(server: &Postgres) -> Schema {
    let mut session = server.session().await;
    let columns = sqlx::query(
        "select table_name::text, column_name::text, data_type::text, is_nullable = 'YES' from information_schema.columns \
         where table_schema = 'public' and table_name <> '_sqlx_migrations'",
    );
    let columns = columns.fetch_all(&mut session).await.unwrap();
    // Constraints without a name of ours have one of the server's, as keys have.
    let names = sqlx::query(
        "select conrelid::regclass::text, conname::text from pg_constraint where connamespace = 'public'::regnamespace \
         and conname !~ '_(pkey|fkey|check|key)$' union select tablename::text, indexname::text from pg_indexes \
         where schemaname = 'public' and indexname !~ '_pkey$'",
    );
    let names = names.fetch_all(&mut session).await.unwrap();
    Schema {
        columns: columns.iter().map(|row| ((row.get(0), row.get(1)), (kind(row.get(2)), row.get(3)))).collect(),
        names: names.iter().map(|row| (row.get(0), row.get(1))).collect(),
    }
}

async fn of_sqlite() -> Schema {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).await.unwrap().close().await;
    let url = format!("sqlite://{}", folder.path().join("tidegate.db").display());
    let mut session = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let columns = sqlx::query(
        "select t.name, c.name, c.type, c.\"notnull\" = 0 and c.pk = 0 from sqlite_master t, pragma_table_info(t.name) c \
         where t.type = 'table' and t.name not like 'sqlite_%' and t.name <> '_sqlx_migrations'",
    );
    let columns = columns.fetch_all(&mut session).await.unwrap();
    let made = sqlx::query(
        "select tbl_name, name, sql, type from sqlite_master where sql is not null and tbl_name <> '_sqlx_migrations'",
    );
    let made = made.fetch_all(&mut session).await.unwrap();
    let mut names = BTreeSet::new();
    for row in &made {
        let (table, name, sql, of): (String, String, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if of == "index" {
            names.insert((table, name));
        } else {
            names.extend(
                sql.split("constraint ")
                    .skip(1)
                    .map(|rest| (table.clone(), rest.split_whitespace().next().unwrap().to_owned())),
            );
        }
    }
    Schema {
        columns: columns.iter().map(|row| ((row.get(0), row.get(1)), (kind(row.get(2)), row.get(3)))).collect(),
        names,
    }
}

#[tokio::test]
async fn both_engines_have_the_same_tables_columns_constraints_and_indexes() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    let (ours, theirs) = (of_postgres(&server).await, of_sqlite().await);
    assert!(ours.columns.len() > 100 && ours.names.len() > 30, "{} {}", ours.columns.len(), ours.names.len());
    let differences: Vec<_> =
        ours.columns.iter().filter(|(name, column)| theirs.columns.get(name) != Some(column)).collect();
    assert_eq!((differences, ours.columns.len()), (Vec::new(), theirs.columns.len()));
    assert_eq!(ours.names.symmetric_difference(&theirs.names).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[tokio::test]
async fn each_table_says_what_a_row_is_and_each_text_is_compared_by_its_bytes() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    let mut session = server.session().await;
    let silent = "select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace \
        and relname <> '_sqlx_migrations' and (obj_description(oid) is null or obj_description(oid) !~ 'written by')";
    let other = "select table_name || '.' || column_name from information_schema.columns where table_schema = 'public' \
        and table_name <> '_sqlx_migrations' and data_type = 'text' and collation_name is distinct from 'C'";
    for statement in [silent, other] {
        let rows = sqlx::query(statement).fetch_all(&mut session).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>(), Vec::<String>::new());
    }
}

/// What somebody reads whom a server refused.
async fn refusal(url: &str) -> (String, Class) {
    let error = Store::connect(url, 1).await.unwrap_err();
    let class = error.class();
    (format!("{:#}", anyhow::Error::from(error)), class)
}

#[tokio::test]
async fn only_a_database_with_the_schema_of_this_release_is_used() {
    let server = Postgres::start();
    let place = format!("the database tidegate at {}", server.socket().parent().unwrap().display());
    let older =
        format!("{place} is older than this tidegate (schema 0, this one needs 3); run `tidegate migrate` first");
    assert_eq!(refusal(&server.url()).await, (older, Class::Code));
    for _ in 0..2 {
        Store::migrate(&server.url()).await.unwrap();
        Store::connect(&server.url(), 1).await.unwrap().close().await;
    }
    server.say("update _sqlx_migrations set checksum = '\\x00'").await;
    let edited =
        format!("{place} is not a sound tidegate database: its schema was edited; move it away or restore a backup");
    assert_eq!(refusal(&server.url()).await, (edited, Class::Code));
    assert!(matches!(Store::migrate(&server.url()).await.unwrap_err(), Error::Damaged { .. }));
    server.say("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (99, 'later', true, '\\x00', 1)").await;
    let newer = format!("{place} was made by a newer tidegate (schema 99, this one knows 3); start the newer release");
    assert_eq!(refusal(&server.url()).await, (newer.clone(), Class::Code));
    assert_eq!(Store::migrate(&server.url()).await.unwrap_err().to_string(), newer);
}

#[tokio::test]
async fn two_that_migrate_at_once_both_find_it_done() {
    let server = Postgres::start();
    let url = server.url();
    let (one, other) = tokio::join!(Store::migrate(&url), Store::migrate(&url));
    one.unwrap();
    other.unwrap();
    Store::connect(&url, 1).await.unwrap();
}

#[tokio::test]
async fn whoever_cannot_connect_is_told_why_and_what_to_do() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    let (said, class) = refusal("tidegate").await;
    assert!(said.ends_with("; write it as postgres://user@host/name"), "{said}");
    assert_eq!(class, Class::Code);
    let (said, class) = refusal(&server.url_of("nobody")).await;
    assert_eq!((said.contains("role \"nobody\" does not exist"), class), (true, Class::Code), "{said}");
    let (said, class) = refusal("postgres://postgres@127.0.0.1:1/tidegate").await;
    assert_eq!((said.contains("Connection refused"), class), (true, Class::Transient), "{said}");
}

#[tokio::test]
async fn every_session_has_its_settings() {
    let server = Postgres::start_with(&["fsync=off", "synchronous_commit=off"]);
    let store = server.store().await;
    // A trigger writes down the settings of the session that writes.
    server
        .say(
            "create table seen (name text, setting text); create function see() returns trigger language plpgsql as $$ begin \
             insert into seen select name, setting from pg_settings where name in ('synchronous_commit', 'statement_timeout', \
             'lock_timeout', 'idle_in_transaction_session_timeout', 'application_name'); return null; end $$; \
             create trigger see after insert on inbox execute function see()",
        )
        .await;
    let mut tx = store.begin().await.unwrap();
    tx.mark(&[mark("api", "1", NOON)]).await.unwrap();
    tx.commit().await.unwrap();
    let rows = sqlx::query("select name, setting from seen order by name").fetch_all(&mut server.session().await).await;
    let rows: Vec<(String, String)> = rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [
        ("application_name", "tidegate"),
        ("idle_in_transaction_session_timeout", "10000"),
        ("lock_timeout", "2000"),
        ("statement_timeout", "5000"),
        ("synchronous_commit", "on"),
    ];
    assert_eq!(rows, expected.map(|(name, setting)| (name.to_owned(), setting.to_owned())));
}
