//! What an operator who asks whether all is well is told of a server: facts, which somebody else judges.

use std::collections::BTreeMap;

use rollout::At;
use sqlx::Connection as _;

use super::{Connection, answered, one, options, place, verify};
use crate::Error;

const SETTINGS: &str = "select name, setting from pg_settings where name in ('server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit', 'max_connections', 'superuser_reserved_connections')";
const ROLES: &str = r"select rolname::text, rolcanlogin from pg_roles where rolname like 'tidegate\_%'";
const PRESENT: &str = "select pg_is_in_recovery(), (extract(epoch from clock_timestamp()) * 1000)::bigint";
const WAITING: &str = "select service, count(*), min(created_at) from outbox where published_at is null group by service order by service";

/// A server and a database as they are.
#[derive(Debug)]
pub struct Examined {
    /// Where it is, in words.
    pub place: String,
    /// Whether the schema is this release's.
    pub schema: Result<(), Error>,
    /// What one of our sessions has of each setting, the version of the server among them.
    pub settings: BTreeMap<String, String>,
    /// Whether it follows another server, and so takes no writes.
    pub is_standby: bool,
    /// The roles of services, and whether each can log in.
    pub roles: BTreeMap<String, bool>,
    /// Messages that nobody has published yet, as far as the user may see them: by service how many, and how old the oldest is.
    pub waiting: Vec<(String, i64, At)>,
    /// Its clock.
    pub now: At,
}

/// Looks at the server and the database at `url`.
pub(crate) async fn examine(url: &str) -> Result<Examined, Error> {
    let options = options(url)?;
    let mut connection = one(&options).await?;
    let examined = answered(look(&mut connection, place(&options))).await?;
    connection.close().await.map_err(Error::of("examine"))?;
    Ok(examined)
}

async fn look(connection: &mut Connection, place: String) -> Result<Examined, Error> {
    let failed = || Error::of("examine");
    let schema = verify(connection, place.clone()).await;
    let settings: Vec<(String, String)> =
        sqlx::query_as(SETTINGS).fetch_all(&mut *connection).await.map_err(failed())?;
    let roles: Vec<(String, bool)> = sqlx::query_as(ROLES).fetch_all(&mut *connection).await.map_err(failed())?;
    let waiting: Vec<(String, i64, i64)> = match &schema {
        Ok(()) => sqlx::query_as(WAITING).fetch_all(&mut *connection).await.map_err(failed())?,
        Err(_) => Vec::new(),
    };
    // Last: whoever compares the clock with another one wants it as fresh as can be.
    let (is_standby, now): (bool, i64) = sqlx::query_as(PRESENT).fetch_one(connection).await.map_err(failed())?;
    Ok(Examined {
        place,
        schema,
        settings: settings.into_iter().collect(),
        is_standby,
        roles: roles.into_iter().collect(),
        waiting: waiting.into_iter().map(|(service, count, oldest)| (service, count, At(oldest))).collect(),
        now: At(now),
    })
}
