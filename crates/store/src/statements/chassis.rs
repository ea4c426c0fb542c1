//! Statements of the chassis: inbox, outbox, parked, suspect, and the values of the in-process bus.

use rollout::At;
use serde::Serialize;

use super::columns::get;
use super::dialect::{FORGET_MARKS, among, listed};
use super::{Connection, Row};
use crate::rows::{BusValue, Mark, Outgoing, Parked, Said};
use crate::{Error, json};

/// Marks messages as settled; gives how many were not before. All of them are one statement, because each has its price, and a
/// batch has a hundred marks.
pub(crate) async fn mark(on: &mut Connection, marks: &[Mark]) -> Result<usize, Error> {
    let rows = list(marks.iter().map(|mark| {
        let Mark { service, source, message_id, settled, reason, rollout_id, handled_at } = mark;
        (service, source, message_id, settled.name(), reason, rollout_id, handled_at.0)
    }))?;
    let done = sqlx::query(concat!(
        "insert into inbox (service, source, message_id, outcome, reason, rollout_id, handled_at) \
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, cast(value ->> 6 as bigint) from ",
        listed!("$1"),
        " where true on conflict do nothing"
    ))
    .bind(rows)
    .execute(on)
    .await
    .map_err(Error::of("mark a message"))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// The rows of a statement that writes several.
pub(super) fn list(rows: impl Iterator<Item = impl Serialize>) -> Result<String, Error> {
    json("rows", &rows.collect::<Vec<_>>())
}

pub(crate) const IS_SETTLED: &str = "select 1 from inbox where service = $1 and source = $2 and message_id = $3";

pub(crate) async fn is_settled(
    on: &mut Connection,
    service: &str,
    source: &str,
    message_id: &str,
) -> Result<bool, Error> {
    let row = sqlx::query(IS_SETTLED)
        .bind(service)
        .bind(source)
        .bind(message_id)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a mark"))?;
    Ok(row.is_some())
}

/// What became of a message, and why, if it is settled.
pub(crate) async fn outcome(
    on: &mut Connection,
    service: &str,
    source: &str,
    message_id: &str,
) -> Result<Option<(String, Option<String>)>, Error> {
    let row = sqlx::query("select outcome, reason from inbox where service = $1 and source = $2 and message_id = $3")
        .bind(service)
        .bind(source)
        .bind(message_id)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a mark"))?;
    row.map(|row| Ok((get(&row, 0)?, get(&row, 1)?))).transpose()
}

/// Says messages in their order; gives position and id of those whose id was not said before.
pub(crate) async fn say(on: &mut Connection, messages: &[Outgoing]) -> Result<Vec<(i64, String)>, Error> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(concat!(
        "insert into outbox (service, message_id, rollout_id, subject, headers, body, created_at, published_at) \
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, cast(value ->> 6 as bigint), \
         cast(value ->> 6 as bigint) from ",
        listed!("$1"),
        " where true order by key on conflict (message_id) do nothing returning position, message_id"
    ))
    .bind(outgoing(messages)?)
    .fetch_all(on)
    .await
    .map_err(Error::of("say a message"))?;
    positions(&rows)
}

/// Messages as rows of a statement that says them.
pub(super) fn outgoing(messages: &[Outgoing]) -> Result<String, Error> {
    list(messages.iter().map(|message| {
        let Outgoing { service, message_id, rollout_id, subject, headers, body, created_at } = message;
        (service, message_id, rollout_id, subject, headers, body, created_at.0)
    }))
}

/// Position and id of what was said.
pub(super) fn positions(rows: &[Row]) -> Result<Vec<(i64, String)>, Error> {
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

fn said(row: &Row) -> Result<Said, Error> {
    Ok(Said {
        position: get(row, 0)?,
        service: get(row, 1)?,
        message_id: get(row, 2)?,
        subject: get(row, 3)?,
        headers: get(row, 4)?,
        body: get(row, 5)?,
        created_at: At(get(row, 6)?),
    })
}

pub(crate) const SAID_AFTER: &str = "select position, service, message_id, subject, headers, body, created_at from outbox where position > $1 and substr(subject, 1, length($2)) = $2 order by position limit $3";

/// The stream behind `position`, as far as its subjects begin with `lane`.
pub(crate) async fn said_after(on: &mut Connection, position: i64, lane: &str, limit: i64) -> Result<Vec<Said>, Error> {
    let rows = sqlx::query(SAID_AFTER)
        .bind(position)
        .bind(lane)
        .bind(limit)
        .fetch_all(on)
        .await
        .map_err(Error::of("read the stream"))?;
    rows.iter().map(said).collect()
}

/// The last position of the stream; 0 when it is empty.
pub(crate) async fn last_position(on: &mut Connection) -> Result<i64, Error> {
    let row = sqlx::query("select coalesce(max(position), 0) from outbox").fetch_one(on).await;
    get(&row.map_err(Error::of("read the stream's end"))?, 0)
}

pub(crate) const FORGET_SAID: &str = concat!(
    "delete from outbox where ",
    among!(
        "position",
        "select position from outbox where position <= $1 and published_at < $2 order by position limit $3"
    )
);

/// Takes published messages away that are older than `before` and at or below `position`; gives how many.
pub(crate) async fn forget_said(on: &mut Connection, position: i64, before: At, limit: i64) -> Result<u64, Error> {
    let done = sqlx::query(FORGET_SAID)
        .bind(position)
        .bind(before.0)
        .bind(limit)
        .execute(on)
        .await
        .map_err(Error::of("sweep the outbox"))?;
    Ok(done.rows_affected())
}

/// Takes marks away that are older than `before`; gives how many. The index begins with the service, so each is looked up by
/// itself: otherwise every sweep would read all marks of eight days.
pub(crate) async fn forget_marks(on: &mut Connection, before: At, limit: i64) -> Result<u64, Error> {
    let done =
        sqlx::query(FORGET_MARKS).bind(before.0).bind(limit).execute(on).await.map_err(Error::of("sweep the inbox"))?;
    Ok(done.rows_affected())
}

pub(crate) async fn park(on: &mut Connection, parked: &Parked) -> Result<(), Error> {
    sqlx::query(
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
    .await.map_err(Error::of("park a message"))?;
    Ok(())
}

/// How many messages stand behind `position`, counted up to `most`, and when the first of them was said.
pub(crate) async fn waiting(on: &mut Connection, position: i64, most: i64) -> Result<(i64, Option<At>), Error> {
    let row = sqlx::query(
        "select (select count(*) from (select 1 from outbox where position > $1 limit $2)), \
         (select created_at from outbox where position > $1 order by position limit 1)",
    )
    .bind(position)
    .bind(most)
    .fetch_one(on)
    .await
    .map_err(Error::of("read what waits"))?;
    Ok((get(&row, 0)?, get::<Option<i64>>(&row, 1)?.map(At)))
}

/// Counts one more try of a message that was in hand when its service died; gives the tries.
pub(crate) async fn suspect(
    on: &mut Connection,
    service: &str,
    source: &str,
    message_id: &str,
    at: At,
) -> Result<i64, Error> {
    let row = sqlx::query(
        "insert into suspect (service, source, message_id, tries, first_at) values ($1, $2, $3, 1, $4) \
         on conflict (service, source, message_id) do update set tries = suspect.tries + 1 returning tries",
    )
    .bind(service)
    .bind(source)
    .bind(message_id)
    .bind(at.0)
    .fetch_one(on)
    .await
    .map_err(Error::of("suspect a message"))?;
    get(&row, 0)
}

pub(crate) async fn trust(on: &mut Connection, service: &str, source: &str, message_id: &str) -> Result<(), Error> {
    sqlx::query("delete from suspect where service = $1 and source = $2 and message_id = $3")
        .bind(service)
        .bind(source)
        .bind(message_id)
        .execute(on)
        .await
        .map_err(Error::of("trust a message"))?;
    Ok(())
}

pub(crate) async fn bus_values(on: &mut Connection, bucket: &str) -> Result<Vec<BusValue>, Error> {
    let rows = sqlx::query("select key, revision, value from bus_value where bucket = $1 order by key")
        .bind(bucket)
        .fetch_all(on)
        .await
        .map_err(Error::of("read a bucket"))?;
    rows.iter().map(|row| Ok(BusValue { key: get(row, 0)?, revision: get(row, 1)?, value: get(row, 2)? })).collect()
}

/// Puts a value at the revision read (0: there was none); `false` when another one was quicker.
pub(crate) async fn put_bus_value(on: &mut Connection, bucket: &str, value: &BusValue, at: At) -> Result<bool, Error> {
    let done = sqlx::query(
        "insert into bus_value (bucket, key, revision, value, updated_at) select $1, $2, $3 + 1, $4, $5 where $3 = 0 or exists \
         (select 1 from bus_value where bucket = $1 and key = $2) on conflict (bucket, key) do update \
         set revision = bus_value.revision + 1, value = excluded.value, updated_at = excluded.updated_at where bus_value.revision = $3",
    )
    .bind(bucket)
    .bind(&value.key)
    .bind(value.revision)
    .bind(&value.value)
    .bind(at.0)
    .execute(on)
    .await.map_err(Error::of("put a bus value"))?;
    Ok(done.rows_affected() == 1)
}
