//! The floor of a step: the rows that a step writes, by bare statements on a bare connection with the same settings.

use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

/// What a row of the floor carries: as much as the largest message of a step.
const BODY: usize = 900;

/// A database with the tables that a step touches, empty.
pub(crate) async fn open(folder: &Path) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    for table in [
        "create table inbox (id text primary key, at integer) strict",
        "create table outbox (position integer primary key autoincrement, id text unique, body text) strict",
        "create table rollout (id integer primary key, version integer, stage text) strict",
        "create table transition (id integer, version integer, body text, primary key (id, version)) strict",
        "create table route (id integer primary key, spec text) strict",
    ] {
        sqlx::query(table).execute(&pool).await?;
    }
    Ok(pool)
}

/// Steps a second, `together` of them to a commit: a mark, a row moved, its log entry, its route and two messages each. One at a
/// time, the message that causes the step is a commit of its own.
pub(crate) async fn steps(pool: &SqlitePool, steps: i64, together: i64) -> anyhow::Result<f64> {
    let body = "x".repeat(BODY);
    let began = Instant::now();
    let mut step = 0;
    while step < steps {
        if together == 1 {
            sqlx::query("insert into outbox (id, body) values ($1, $2)")
                .bind(format!("cause.{step}"))
                .bind(&body)
                .execute(pool)
                .await?;
        }
        let mut tx = pool.begin_with("begin immediate").await?;
        for _ in 0..together.min(steps - step) {
            let id = format!("{together}.{step}");
            sqlx::query("insert into inbox values ($1, $2)").bind(&id).bind(step).execute(&mut *tx).await?;
            sqlx::query(
                "insert into rollout values ($1, 1, 'observing') on conflict (id) do update set version = version + 1",
            )
            .bind(step)
            .execute(&mut *tx)
            .await?;
            sqlx::query("insert into transition values ($1, $2, $3)")
                .bind(step)
                .bind(together)
                .bind(&body)
                .execute(&mut *tx)
                .await?;
            sqlx::query("insert into route values ($1, $2) on conflict (id) do update set spec = excluded.spec")
                .bind(step)
                .bind(&body)
                .execute(&mut *tx)
                .await?;
            for ordinal in 0..2 {
                sqlx::query("insert into outbox (id, body) values ($1, $2)")
                    .bind(format!("{id}.{ordinal}"))
                    .bind(&body)
                    .execute(&mut *tx)
                    .await?;
            }
            step += 1;
        }
        tx.commit().await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    Ok(steps as f64 / began.elapsed().as_secs_f64())
}
