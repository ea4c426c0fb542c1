//! The PostgreSQL arm: connecting, settings, the version of the schema, and the statements by owner.
//!
//! A service never changes the schema: it refuses a database whose schema is another than its own. [`migrate`] changes it, under
//! a lock of the database, when an operator says so.

mod dialect;
pub(crate) mod examine;
mod scram;
#[path = "statements/map.rs"]
#[expect(clippy::duplicate_mod, reason = "each engine compiles the statements with its own connection and dialect")]
pub(crate) mod statements;

use std::str::FromStr as _;
use std::time::Duration;

use rollout::At;
use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Error;
use crate::schema::{self, Schema, latest, migrator};

type Arguments = sqlx::postgres::PgArguments;
type Connection = sqlx::PgConnection;
type Engine = sqlx::Postgres;
type Row = sqlx::postgres::PgRow;

/// Waits no longer for a connection, new or free, than this.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);
/// Waits no longer for an answer: the server itself would have given up before, so it is out of reach.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Connections of pages, made when somebody looks: however many people look, a retreat waits for none of them.
const PAGES: u32 = 4;
/// A connection that was out of use for so long is tried before it is used: after the server was gone, each of them would
/// otherwise cost whoever gets it a failure. Those in constant use pay nothing.
const RESTED: Duration = Duration::from_secs(1);

/// What the server holds each of our sessions to; see RELIABILITY section 1.2. The last four make it let go of a client that
/// vanished, and of its locks.
const SETTINGS: [(&str, &str); 8] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
/// A migration may rewrite a table, and waits for those who use it.
const MIGRATING: [(&str, &str); 2] = [("statement_timeout", "10min"), ("lock_timeout", "1min")];

const SCHEMA: Schema = &[
    (1, "tables", include_str!("../../../migrations/postgres/0001_tables.sql")),
    (2, "roles", include_str!("../../../migrations/postgres/0002_roles.sql")),
    (3, "marks", include_str!("../../../migrations/postgres/0003_marks.sql")),
];

/// One database on a server.
#[derive(Debug, Clone)]
pub struct Postgres {
    pub(crate) pool: PgPool,
    pub(crate) pages: PgPool,
}

impl Postgres {
    /// Connects, with at most so many connections beside those of pages.
    ///
    /// # Errors
    /// When the address is none, the server does not answer within 3 s, or the schema is not this release's.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, Error> {
        let options = options(url)?;
        // A pool would try again until its time is over, and then not say what was wrong.
        let mut first = one(&options).await?;
        verify(&mut first, place(&options)).await?;
        first.close().await.map_err(Error::of("connect"))?;
        let pool = |connections| pool(connections).connect_lazy_with(options.clone());
        Ok(Self { pool: pool(connections), pages: pool(PAGES) })
    }

    /// Begins a transaction. A connection that died in the pool tells it by its first statement; as nothing was done on it then,
    /// the next one is taken.
    pub(crate) async fn begin(&self) -> Result<sqlx::Transaction<'static, Engine>, sqlx::Error> {
        for _ in 0..self.pool.options().get_max_connections() {
            match self.pool.begin().await {
                Err(sqlx::Error::Io(_) | sqlx::Error::Database(_)) => {}
                begun => return begun,
            }
        }
        self.pool.begin().await
    }

    /// What its clock says.
    pub(crate) async fn time(&self) -> Result<At, Error> {
        const NOW: &str = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
        let asked = sqlx::query_scalar(NOW).fetch_one(&self.pool).await;
        asked.map(At).map_err(Error::of("ask for the time"))
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pages.close().await;
        self.pool.close().await;
    }
}

/// What is asked of the server, or that it did not answer in time.
pub(crate) async fn answered<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| {
        let source = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        Err(Error::Database { doing: "wait for the database", source })
    };
    tokio::time::timeout(ANSWER_LIMIT, asked).await.unwrap_or_else(late)
}

/// Brings the schema of a database up to date.
///
/// # Errors
/// When the address is none, the server does not answer, or the schema is a newer release's.
pub(crate) async fn migrate(url: &str) -> Result<(), Error> {
    let options = options(url)?.options(MIGRATING);
    let mut connection = one(&options).await?;
    let done = migrator(SCHEMA).run(&mut connection).await;
    done.map_err(|cause| schema::stopped(cause, place(&options), SCHEMA, Error::of("migrate")))?;
    connection.close().await.map_err(Error::of("migrate"))
}

/// Lets a role log in with a password, of which the server gets a salted hash alone.
///
/// # Errors
/// When the server does not answer, or there is no such role.
pub(crate) async fn let_in(url: &str, role: &str, password: &str) -> Result<(), Error> {
    // No statement about roles takes parameters, so the server itself writes it.
    const WRITE: &str = "select format('alter role %I login password %L', $1, $2)";
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| Error::of("draw a salt")(sqlx::Error::WorkerCrashed))?;
    let verifier = scram::verifier(password, &salt);
    let mut connection = one(&options(url)?).await?;
    let statement = sqlx::query_scalar::<_, String>(WRITE).bind(role).bind(verifier).fetch_one(&mut connection).await;
    let done = match statement {
        Ok(statement) => sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.map(drop),
        Err(cause) => Err(cause),
    };
    done.map_err(Error::of("let a role log in"))?;
    connection.close().await.map_err(Error::of("let a role log in"))
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url).map_err(|cause| Error::Address { cause: cause.to_string() })?;
    let name = options.get_application_name().unwrap_or("tidegate").to_owned();
    Ok(options.application_name(&name).options(SETTINGS).statement_cache_capacity(200))
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, had| {
            Box::pin(async move {
                if had.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Where it is, in words.
fn place(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    format!("the database {} at {host}", options.get_database().unwrap_or(options.get_username()))
}

/// One connection, without a pool.
async fn one(options: &PgConnectOptions) -> Result<Connection, Error> {
    let connected = tokio::time::timeout(ACQUIRE_LIMIT, options.connect()).await;
    connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Error::of("connect"))
}

/// A service works with its own schema only, which it never changes.
async fn verify(connection: &mut Connection, place: String) -> Result<(), Error> {
    let applied = match connection.list_applied_migrations("_sqlx_migrations").await {
        Ok(applied) => applied,
        // There is no such table before the first migration.
        Err(sqlx::migrate::MigrateError::Execute(sqlx::Error::Database(cause)))
            if cause.code().as_deref() == Some("42P01") =>
        {
            Vec::new()
        }
        Err(cause) => return Err(schema::stopped(cause, place, SCHEMA, Error::of("read the schema's version"))),
    };
    let (found, known) = (applied.last().map_or(0, |last| last.version), latest(SCHEMA));
    if found > known {
        return Err(Error::Newer { place, found, known });
    }
    if found < known {
        return Err(Error::Older { place, found, known });
    }
    let edited = migrator(SCHEMA).iter().any(|ours| !applied.iter().any(|theirs| theirs.checksum == ours.checksum));
    if edited { Err(Error::Damaged { place, cause: "its schema was edited".to_owned() }) } else { Ok(()) }
}
