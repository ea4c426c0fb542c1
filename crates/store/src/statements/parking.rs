//! Statements about parked messages, of the chassis and of api.

use rollout::At;

use super::columns::get;
use super::{Connection, Row};
use crate::Error;
use crate::parking::{ReplayRow, Unpark, UnparkedEntry, UnparkedRow};
use crate::rows::Parked;

/// As many at once of what is asked for, or of what is tried again at a start.
const AT_ONCE: i64 = 1_000;

/// The columns of a parked message, in the order in which [`parked`] reads them.
macro_rules! select_parked {
    ($($text:literal),+) => {
        concat!(
            "select p.id, p.service, p.source, p.message_id, p.subject, p.reason, p.error, p.headers, p.body, p.tries, p.first_seen_at, ",
            "p.parked_at, p.replayed_at, p.replayed_by",
            $($text),+
        )
    };
}

/// The columns of what is asked for, from `r`, behind `first` others.
fn replay(row: &Row, first: usize) -> Result<ReplayRow, Error> {
    let action: String = get(row, first + 1)?;
    let bad = || Error::Stored { what: "action", cause: format!("`{action}` is not known") };
    Ok(ReplayRow {
        parked_id: get(row, first)?,
        action: Unpark::named(&action).ok_or_else(bad)?,
        actor: get(row, first + 2)?,
        reason: get(row, first + 3)?,
        asked_at: At(get(row, first + 4)?),
    })
}

fn parked(row: &Row) -> Result<Parked, Error> {
    Ok(Parked {
        id: get(row, 0)?,
        service: get(row, 1)?,
        source: get(row, 2)?,
        message_id: get(row, 3)?,
        subject: get(row, 4)?,
        reason: get(row, 5)?,
        error: get(row, 6)?,
        headers: get(row, 7)?,
        body: get(row, 8)?,
        tries: get(row, 9)?,
        first_seen_at: At(get(row, 10)?),
        parked_at: At(get(row, 11)?),
        replayed_at: get::<Option<i64>>(row, 12)?.map(At),
        replayed_by: get(row, 13)?,
    })
}

/// Newest first, those behind `after` (instant and id of the last one seen).
pub(crate) async fn page(on: &mut Connection, after: (At, &str), limit: i64) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query(select_parked!(
        " from parked p where p.replayed_at is null and (p.parked_at < $1 or (p.parked_at = $1 and p.id > $2)) \
          order by p.parked_at desc, p.id limit $3"
    ))
    .bind(after.0.0)
    .bind(after.1)
    .bind(limit)
    .fetch_all(on)
    .await
    .map_err(Error::of("list parked messages"))?;
    rows.iter().map(parked).collect()
}

pub(crate) async fn one(on: &mut Connection, id: &str) -> Result<Option<Parked>, Error> {
    let row = sqlx::query(select_parked!(" from parked p where p.id = $1"))
        .bind(id)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a parked message"))?;
    row.as_ref().map(parked).transpose()
}

pub(crate) async fn unknown(on: &mut Connection, service: &str) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query(select_parked!(
        " from parked p where p.service = $1 and p.reason = 'unknown_type' and p.replayed_at is null order by p.parked_at, p.id limit $2"
    ))
    .bind(service)
    .bind(AT_ONCE)
    .fetch_all(on)
    .await
    .map_err(Error::of("read messages of unknown types"))?;
    rows.iter().map(parked).collect()
}

/// Only for a message that is parked; once until it is done.
pub(crate) async fn ask(on: &mut Connection, replay: &ReplayRow) -> Result<bool, Error> {
    let done = sqlx::query(
        "insert into replay (parked_id, action, actor, reason, asked_at) select $1, $2, $3, $4, $5 \
         where exists (select 1 from parked where id = $1 and replayed_at is null) on conflict do nothing",
    )
    .bind(&replay.parked_id)
    .bind(replay.action.name())
    .bind(&replay.actor)
    .bind(replay.reason.as_deref())
    .bind(replay.asked_at.0)
    .execute(on)
    .await
    .map_err(Error::of("ask for a replay"))?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn asked(on: &mut Connection, parked_id: &str) -> Result<Option<ReplayRow>, Error> {
    let row = sqlx::query("select parked_id, action, actor, reason, asked_at from replay where parked_id = $1")
        .bind(parked_id)
        .fetch_optional(on)
        .await
        .map_err(Error::of("read a replay"))?;
    row.map(|row| replay(&row, 0)).transpose()
}

pub(crate) async fn asked_of(on: &mut Connection, service: &str) -> Result<Vec<(ReplayRow, Parked)>, Error> {
    let rows = sqlx::query(select_parked!(
        ", r.parked_id, r.action, r.actor, r.reason, r.asked_at from replay r join parked p on p.id = r.parked_id \
          where p.service = $1 and p.replayed_at is null order by r.asked_at, r.parked_id limit $2"
    ))
    .bind(service)
    .bind(AT_ONCE)
    .fetch_all(on)
    .await
    .map_err(Error::of("read replays"))?;
    rows.iter().map(|row| Ok((replay(row, 14)?, parked(row)?))).collect()
}

/// Takes the parked mark away, so that the message can be handled again.
pub(crate) async fn unpark(on: &mut Connection, parked: &Parked, actor: &str, at: At) -> Result<bool, Error> {
    if !claim(on, &parked.id, actor, at).await? {
        return Ok(false);
    }
    unmark(on, parked).await?;
    Ok(true)
}

/// Whoever changes this row has the message; nobody else does.
async fn claim(on: &mut Connection, id: &str, actor: &str, at: At) -> Result<bool, Error> {
    let done =
        sqlx::query("update parked set replayed_at = $2, replayed_by = $3 where id = $1 and replayed_at is null")
            .bind(id)
            .bind(at.0)
            .bind(actor)
            .execute(on)
            .await
            .map_err(Error::of("unpark a message"))?;
    Ok(done.rows_affected() == 1)
}

async fn unmark(on: &mut Connection, parked: &Parked) -> Result<(), Error> {
    sqlx::query("delete from inbox where service = $1 and source = $2 and message_id = $3 and outcome = 'parked'")
        .bind(&parked.service)
        .bind(&parked.source)
        .bind(&parked.message_id)
        .execute(on)
        .await
        .map_err(Error::of("take a parked mark away"))?;
    Ok(())
}

pub(crate) async fn delete(on: &mut Connection, id: &str) -> Result<bool, Error> {
    let done = sqlx::query("delete from parked where id = $1 and replayed_at is null")
        .bind(id)
        .execute(on)
        .await
        .map_err(Error::of("drop a parked message"))?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn park_again(on: &mut Connection, id: &str, reason: &str, error: &str, at: At) -> Result<(), Error> {
    sqlx::query("update parked set reason = $2, error = $3, tries = tries + 1, parked_at = $4 where id = $1")
        .bind(id)
        .bind(reason)
        .bind(error)
        .bind(at.0)
        .execute(on)
        .await
        .map_err(Error::of("park a message again"))?;
    Ok(())
}

pub(crate) async fn conclude(on: &mut Connection, parked: &Parked, done: &UnparkedRow) -> Result<(), Error> {
    sqlx::query(
        "insert into unparked (parked_id, service, source, message_id, subject, error, action, outcome, why, actor, reason, asked_at, done_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&parked.id)
    .bind(&parked.service)
    .bind(&parked.source)
    .bind(&parked.message_id)
    .bind(&parked.subject)
    .bind(format!("{}: {}", parked.reason, parked.error))
    .bind(done.asked.action.name())
    .bind(done.outcome)
    .bind(done.why.as_deref())
    .bind(&done.asked.actor)
    .bind(done.asked.reason.as_deref())
    .bind(done.asked.asked_at.0)
    .bind(done.done_at.0)
    .execute(&mut *on)
    .await
    .map_err(Error::of("write down a replay"))?;
    sqlx::query("delete from replay where parked_id = $1")
        .bind(&parked.id)
        .execute(on)
        .await
        .map_err(Error::of("end a replay"))?;
    Ok(())
}

pub(crate) async fn done(on: &mut Connection, parked_id: &str) -> Result<Vec<UnparkedEntry>, Error> {
    let rows = sqlx::query(
        "select parked_id, action, actor, reason, asked_at, outcome, why, done_at from unparked where parked_id = $1 order by id desc limit 200",
    )
    .bind(parked_id)
    .fetch_all(on)
    .await
    .map_err(Error::of("read what became of a parked message"))?;
    rows.iter()
        .map(|row| {
            Ok(UnparkedEntry {
                asked: replay(row, 0)?,
                outcome: get(row, 5)?,
                why: get(row, 6)?,
                done_at: At(get(row, 7)?),
            })
        })
        .collect()
}
