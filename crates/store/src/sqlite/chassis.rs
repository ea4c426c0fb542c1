//! Statements of the chassis: inbox, outbox, parked, suspect, and the values of the in-process bus.

use rollout::At;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::rows::{BusValue, Mark, Outgoing, Parked, Said};

type Done<T> = Result<T, sqlx::Error>;

/// Marks messages as settled; gives how many were not before. All of them are one statement, because each has its price, and a
/// batch has a hundred marks.
pub(crate) async fn mark(on: &mut SqliteConnection, marks: &[Mark]) -> Done<usize> {
    let rows = listed(marks.iter().map(|mark| {
        let Mark { service, source, message_id, settled, reason, rollout_id, handled_at } = mark;
        (service, source, message_id, settled.name(), reason, rollout_id, handled_at.0)
    }))?;
    let done = sqlx::query(
        "insert into inbox (service, source, message_id, outcome, reason, rollout_id, handled_at) \
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 \
         from json_each($1) where true on conflict do nothing",
    )
    .bind(rows)
    .execute(on)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// The rows of a statement that writes several.
fn listed(rows: impl Iterator<Item = impl Serialize>) -> Done<String> {
    let rows: Vec<_> = rows.collect();
    serde_json::to_string(&rows).map_err(|cause| sqlx::Error::Encode(cause.into()))
}

pub(super) const IS_SETTLED: &str = "select 1 from inbox where service = $1 and source = $2 and message_id = $3";

pub(crate) async fn is_settled(on: &mut SqliteConnection, service: &str, source: &str, message_id: &str) -> Done<bool> {
    let row = sqlx::query(IS_SETTLED).bind(service).bind(source).bind(message_id).fetch_optional(on).await?;
    Ok(row.is_some())
}

/// What became of a message, and why, if it is settled.
pub(crate) async fn outcome(
    on: &mut SqliteConnection,
    service: &str,
    source: &str,
    message_id: &str,
) -> Done<Option<(String, Option<String>)>> {
    let row = sqlx::query("select outcome, reason from inbox where service = $1 and source = $2 and message_id = $3")
        .bind(service)
        .bind(source)
        .bind(message_id)
        .fetch_optional(on)
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Says messages in their order; gives position and subject of those whose id was not said before.
pub(crate) async fn say(on: &mut SqliteConnection, messages: &[Outgoing]) -> Done<Vec<(i64, String)>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = listed(messages.iter().map(|message| {
        let Outgoing { service, message_id, rollout_id, subject, headers, body, created_at } = message;
        (service, message_id, rollout_id, subject, headers, body, created_at.0)
    }))?;
    let rows = sqlx::query(
        "insert into outbox (service, message_id, rollout_id, subject, headers, body, created_at, published_at) \
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 6 \
         from json_each($1) where true order by key on conflict (message_id) do nothing returning position, subject",
    )
    .bind(rows)
    .fetch_all(on)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn said(row: &SqliteRow) -> Done<Said> {
    Ok(Said {
        position: row.try_get(0)?,
        service: row.try_get(1)?,
        message_id: row.try_get(2)?,
        subject: row.try_get(3)?,
        headers: row.try_get(4)?,
        body: row.try_get(5)?,
        created_at: At(row.try_get(6)?),
    })
}

pub(super) const SAID_AFTER: &str = "select position, service, message_id, subject, headers, body, created_at from outbox where position > $1 and substr(subject, 1, length($2)) = $2 order by position limit $3";

/// The stream behind `position`, as far as its subjects begin with `lane`.
pub(crate) async fn said_after(on: &mut SqliteConnection, position: i64, lane: &str, limit: i64) -> Done<Vec<Said>> {
    let rows = sqlx::query(SAID_AFTER).bind(position).bind(lane).bind(limit).fetch_all(on).await?;
    rows.iter().map(said).collect()
}

/// The last position of the stream; 0 when it is empty.
pub(crate) async fn last_position(on: &mut SqliteConnection) -> Done<i64> {
    sqlx::query("select coalesce(max(position), 0) from outbox").fetch_one(on).await?.try_get(0)
}

pub(super) const FORGET_SAID: &str = "delete from outbox where position in \
    (select position from outbox where position <= $1 and published_at < $2 order by position limit $3)";

/// Takes published messages away that are older than `before` and at or below `position`; gives how many.
pub(crate) async fn forget_said(on: &mut SqliteConnection, position: i64, before: At, limit: i64) -> Done<u64> {
    let done = sqlx::query(FORGET_SAID).bind(position).bind(before.0).bind(limit).execute(on).await?;
    Ok(done.rows_affected())
}

/// Takes marks away that are older than `before`; gives how many. The index begins with the service, so each is looked up by
/// itself: otherwise every sweep would read all marks of eight days.
pub(crate) async fn forget_marks(on: &mut SqliteConnection, before: At, limit: i64) -> Done<u64> {
    let done = sqlx::query(FORGET_MARKS).bind(before.0).bind(limit).execute(on).await?;
    Ok(done.rows_affected())
}

pub(super) const FORGET_MARKS: &str = "\
    with recursive named (service) as (select min(service) from inbox union all \
    select (select min(service) from inbox where inbox.service > named.service) from named where named.service is not null) \
    delete from inbox where rowid in (select inbox.rowid from named cross join inbox on inbox.service = named.service \
    and inbox.handled_at < $1 limit $2)";

pub(crate) async fn park(on: &mut SqliteConnection, parked: &Parked) -> Done<u64> {
    let done = sqlx::query(
        "insert into parked (id, service, source, message_id, subject, reason, error, headers, body, tries, first_seen_at, parked_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing",
    )
    .bind(&parked.id)
    .bind(&parked.service)
    .bind(&parked.source)
    .bind(&parked.message_id)
    .bind(&parked.subject)
    .bind(&parked.reason)
    .bind(&parked.error)
    .bind(&parked.headers)
    .bind(&parked.body)
    .bind(parked.tries)
    .bind(parked.first_seen_at.0)
    .bind(parked.parked_at.0)
    .execute(on)
    .await?;
    Ok(done.rows_affected())
}

/// How many messages stand behind `position`, counted up to `most`, and when the first of them was said.
pub(crate) async fn waiting(on: &mut SqliteConnection, position: i64, most: i64) -> Done<(i64, Option<At>)> {
    let row = sqlx::query(
        "select (select count(*) from (select 1 from outbox where position > $1 limit $2)), \
         (select created_at from outbox where position > $1 order by position limit 1)",
    )
    .bind(position)
    .bind(most)
    .fetch_one(on)
    .await?;
    Ok((row.try_get(0)?, row.try_get::<Option<i64>, _>(1)?.map(At)))
}

/// Counts one more try of a message that was in hand when its service died; gives the tries.
pub(crate) async fn suspect(
    on: &mut SqliteConnection,
    service: &str,
    source: &str,
    message_id: &str,
    at: At,
) -> Done<i64> {
    sqlx::query(
        "insert into suspect (service, source, message_id, tries, first_at) values ($1, $2, $3, 1, $4) \
         on conflict (service, source, message_id) do update set tries = tries + 1 returning tries",
    )
    .bind(service)
    .bind(source)
    .bind(message_id)
    .bind(at.0)
    .fetch_one(on)
    .await?
    .try_get(0)
}

pub(crate) async fn trust(on: &mut SqliteConnection, service: &str, source: &str, message_id: &str) -> Done<()> {
    sqlx::query("delete from suspect where service = $1 and source = $2 and message_id = $3")
        .bind(service)
        .bind(source)
        .bind(message_id)
        .execute(on)
        .await?;
    Ok(())
}

pub(crate) async fn bus_values(on: &mut SqliteConnection, bucket: &str) -> Done<Vec<BusValue>> {
    let rows = sqlx::query("select key, revision, value from bus_value where bucket = $1 order by key")
        .bind(bucket)
        .fetch_all(on)
        .await?;
    rows.iter()
        .map(|row| Ok(BusValue { key: row.try_get(0)?, revision: row.try_get(1)?, value: row.try_get(2)? }))
        .collect()
}

/// Puts a value at the revision read (0: there was none); `false` when another one was quicker.
pub(crate) async fn put_bus_value(on: &mut SqliteConnection, bucket: &str, value: &BusValue, at: At) -> Done<bool> {
    let done = sqlx::query(
        "insert into bus_value (bucket, key, revision, value, updated_at) select $1, $2, $3 + 1, $4, $5 where $3 = 0 or exists \
         (select 1 from bus_value where bucket = $1 and key = $2) on conflict (bucket, key) do update \
         set revision = revision + 1, value = excluded.value, updated_at = excluded.updated_at where revision = $3",
    )
    .bind(bucket)
    .bind(&value.key)
    .bind(value.revision)
    .bind(&value.value)
    .bind(at.0)
    .execute(on)
    .await?;
    Ok(done.rows_affected() == 1)
}
