//! Statements of the relay.

use rollout::{At, RolloutId};

use super::chassis::{list, outgoing, positions};
use super::columns::{bad, get};
use super::dialect::{among, listed, unheld};
use super::{Connection, Row};
use crate::Error;
use crate::relay::Placed;
use crate::rows::Outgoing;

/// Says messages in their order, for a relay; gives position and id of those whose id was not said before.
pub(crate) async fn say(
    on: &mut Connection,
    messages: &[Outgoing],
    claimed_until: At,
) -> Result<Vec<(i64, String)>, Error> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(concat!(
        "insert into outbox (service, message_id, rollout_id, subject, headers, body, created_at, claimed_until) \
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, cast(value ->> 6 as bigint), $2 from ",
        listed!("$1"),
        " where true order by key on conflict (message_id) do nothing returning position, message_id"
    ))
    .bind(outgoing(messages)?)
    .bind(claimed_until.0)
    .fetch_all(on)
    .await
    .map_err(Error::of("say a message"))?;
    positions(&rows)
}

pub(crate) async fn is_said(on: &mut Connection, message_id: &str) -> Result<bool, Error> {
    let row = sqlx::query("select 1 from outbox where message_id = $1").bind(message_id).fetch_optional(on).await;
    row.map(|row| row.is_some()).map_err(Error::of("look for a message"))
}

pub(crate) const CLAIM: &str = concat!(
    "update outbox set claimed_until = $3 where ",
    among!(
        "position",
        "select position from outbox where service = $1 and published_at is null and claimed_until < $2 order by position limit $4",
        unheld!()
    ),
    " returning position, tries, message_id, rollout_id, subject, headers, body, created_at"
);

pub(crate) async fn claim(
    on: &mut Connection,
    service: &'static str,
    (now, until): (At, At),
    limit: i64,
) -> Result<Vec<Placed>, Error> {
    let rows = sqlx::query(CLAIM)
        .bind(service)
        .bind(now.0)
        .bind(until.0)
        .bind(limit)
        .fetch_all(on)
        .await
        .map_err(Error::of("claim messages"))?;
    rows.iter().map(|row| placed(service, row)).collect()
}

fn placed(service: &'static str, row: &Row) -> Result<Placed, Error> {
    let rollout_id: Option<String> = get(row, 3)?;
    let message = Outgoing {
        service,
        message_id: get(row, 2)?,
        rollout_id: rollout_id.map(RolloutId::new).transpose().map_err(|cause| bad("rollout", &cause))?,
        subject: get(row, 4)?,
        headers: get(row, 5)?,
        body: get(row, 6)?,
        created_at: At(get(row, 7)?),
    };
    Ok(Placed { position: get(row, 0)?, tries: get(row, 1)?, message })
}

pub(crate) const PUBLISHED: &str = concat!(
    "update outbox set published_at = $2, stream_sequence = cast(value ->> 1 as bigint) from ",
    listed!("$1"),
    " where position = cast(value ->> 0 as bigint)"
);

pub(crate) async fn published(on: &mut Connection, rows: &[(i64, Option<i64>)], at: At) -> Result<(), Error> {
    let rows = list(rows.iter())?;
    let done = sqlx::query(PUBLISHED).bind(rows).bind(at.0).execute(on).await;
    done.map(drop).map_err(Error::of("mark what was published"))
}

pub(crate) const POSTPONE: &str = concat!(
    "update outbox set tries = tries + 1, claimed_until = cast(value ->> 1 as bigint) from ",
    listed!("$1"),
    " where position = cast(value ->> 0 as bigint) and published_at is null"
);

pub(crate) async fn postpone(on: &mut Connection, rows: &[(i64, At)]) -> Result<(), Error> {
    let rows = list(rows.iter().map(|(position, at)| (position, at.0)))?;
    sqlx::query(POSTPONE).bind(rows).execute(on).await.map(drop).map_err(Error::of("postpone a message"))
}

/// What was published by its commit has no place in a stream.
pub(crate) const PUBLISH_AGAIN: &str = "\
    update outbox set published_at = null, stream_sequence = null, claimed_until = 0 where service = $1 \
    and published_at >= $3 and stream_sequence is not null and substr(subject, 1, length($2)) = $2";

pub(crate) async fn publish_again(on: &mut Connection, service: &str, lane: &str, since: At) -> Result<u64, Error> {
    let done = sqlx::query(PUBLISH_AGAIN).bind(service).bind(lane).bind(since.0).execute(on).await;
    done.map(|done| done.rows_affected()).map_err(Error::of("publish again"))
}

pub(crate) const FORGET: &str = concat!(
    "delete from outbox where ",
    among!(
        "position",
        "select position from outbox where service = $1 and published_at < $2 order by published_at limit $3"
    )
);

pub(crate) async fn forget(on: &mut Connection, service: &str, before: At, limit: i64) -> Result<u64, Error> {
    let done = sqlx::query(FORGET).bind(service).bind(before.0).bind(limit).execute(on).await;
    done.map(|done| done.rows_affected()).map_err(Error::of("sweep the outbox"))
}

pub(crate) const UNPUBLISHED: &str = "\
    select count(*), min(created_at) from (select created_at from outbox \
    where service = $1 and published_at is null order by position limit $2) as waiting";

pub(crate) async fn unpublished(on: &mut Connection, service: &str, most: i64) -> Result<(i64, Option<At>), Error> {
    let row = sqlx::query(UNPUBLISHED).bind(service).bind(most).fetch_one(on).await;
    let row = row.map_err(Error::of("read what waits"))?;
    Ok((get(&row, 0)?, get::<Option<i64>>(&row, 1)?.map(At)))
}

pub(crate) const LAST_SEQUENCE: &str = "\
    select stream_sequence, message_id from outbox where service = $1 and published_at >= 0 \
    and substr(subject, 1, length($2)) = $2 and stream_sequence = (select max(stream_sequence) from outbox \
    where service = $1 and published_at >= 0 and substr(subject, 1, length($2)) = $2)";

pub(crate) async fn last_sequence(
    on: &mut Connection,
    service: &str,
    lane: &str,
) -> Result<Option<(i64, String)>, Error> {
    let row = sqlx::query(LAST_SEQUENCE).bind(service).bind(lane).fetch_optional(on).await;
    let row = row.map_err(Error::of("read what was published"))?;
    row.map(|row| Ok((get(&row, 0)?, get(&row, 1)?))).transpose()
}
