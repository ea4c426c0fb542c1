//! Statements of notifier.

use rollout::{At, RolloutId};

use super::columns::{get, name, text};
use super::dialect::old_rows;
use super::log::transition;
use super::{Connection, Row};
use crate::delivery::{Delivery, Told};
use crate::rows::Transition;
use crate::{Error, json};

/// Adds a delivery; one that is there stays as it is.
pub(crate) async fn deliver(on: &mut Connection, row: &Delivery) -> Result<u64, Error> {
    let done = sqlx::query(
        "insert into delivery (channel, rollout_id, version, kind, dedup_key, body, subject, news, state, tries, unsure, receipt, error, since_at, attempt_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) on conflict do nothing",
    )
    .bind(&row.channel)
    .bind(&row.about)
    .bind(row.version)
    .bind(&row.kind)
    .bind(&row.dedup_key)
    .bind(json("body", &row.body)?)
    .bind(&row.subject)
    .bind(&row.news)
    .bind(row.state.name())
    .bind(row.tries)
    .bind(i64::from(row.is_unsure))
    .bind(row.receipt.as_deref())
    .bind(row.error.as_deref())
    .bind(row.since_at.0)
    .bind(row.attempt_at.0)
    .execute(on)
    .await
    .map_err(Error::of("add a delivery"))?;
    Ok(done.rows_affected())
}

/// Writes where a delivery stands, unless it was tried or settled by somebody else meanwhile.
pub(crate) async fn attempted(on: &mut Connection, row: &Delivery, from: (Told, i64)) -> Result<u64, Error> {
    let (from_state, from_tries) = from;
    let done = sqlx::query(
        "update delivery set state = $4, tries = $5, unsure = $6, receipt = $7, error = $8, since_at = $9, attempt_at = $10 \
         where channel = $1 and rollout_id = $2 and version = $3 and state = $11 and tries = $12",
    )
    .bind(&row.channel)
    .bind(&row.about)
    .bind(row.version)
    .bind(row.state.name())
    .bind(row.tries)
    .bind(i64::from(row.is_unsure))
    .bind(row.receipt.as_deref())
    .bind(row.error.as_deref())
    .bind(row.since_at.0)
    .bind(row.attempt_at.0)
    .bind(from_state.name())
    .bind(from_tries)
    .execute(on)
    .await
    .map_err(Error::of("write a delivery"))?;
    Ok(done.rows_affected())
}

pub(crate) async fn delivery(
    on: &mut Connection,
    channel: &str,
    about: &str,
    version: i64,
) -> Result<Option<Delivery>, Error> {
    let row = sqlx::query(
        "select channel, rollout_id, version, kind, dedup_key, body, subject, news, state, tries, unsure, receipt, error, since_at, attempt_at \
         from delivery where channel = $1 and rollout_id = $2 and version = $3",
    )
    .bind(channel)
    .bind(about)
    .bind(version)
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a delivery"))?;
    row.as_ref().map(delivery_row).transpose()
}

/// The order of a rollout's versions is kept: of each rollout only the first that is not told yet is due.
pub(crate) const NEXT: &str = "select channel, rollout_id, version, kind, dedup_key, body, subject, news, state, tries, unsure, receipt, error, since_at, attempt_at \
    from delivery as this where channel = $1 and state in ('waiting', 'sending') and not exists (select 1 from delivery as older \
    where older.channel = this.channel and older.rollout_id = this.rollout_id and older.version < this.version \
    and older.state in ('waiting', 'sending')) order by attempt_at limit 1";

/// The delivery of a channel that is tried next, whenever that is.
pub(crate) async fn next(on: &mut Connection, channel: &str) -> Result<Option<Delivery>, Error> {
    let row = sqlx::query(NEXT).bind(channel).fetch_optional(on).await.map_err(Error::of("read the next delivery"))?;
    row.as_ref().map(delivery_row).transpose()
}

/// The latest of a rollout that a receiver took: its version, and what the receiver calls it.
pub(crate) async fn receipt(on: &mut Connection, channel: &str, about: &str) -> Result<Option<(i64, String)>, Error> {
    let row = sqlx::query(
        "select version, receipt from delivery where channel = $1 and rollout_id = $2 and receipt is not null order by version desc limit 1",
    )
    .bind(channel)
    .bind(about)
    .fetch_optional(on)
    .await
    .map_err(Error::of("read a receipt"))?;
    row.map(|row| Ok((get(&row, 0)?, get(&row, 1)?))).transpose()
}

/// The triggers of a rollout at a channel: how many there are, and how many the receiver took or may have taken.
pub(crate) async fn triggers(on: &mut Connection, channel: &str, about: &str) -> Result<(i64, i64), Error> {
    let row = sqlx::query(
        "select count(*), count(*) filter (where state = 'sent' or unsure = 1) from delivery \
         where channel = $1 and rollout_id = $2 and kind = 'trigger'",
    )
    .bind(channel)
    .bind(about)
    .fetch_one(on)
    .await
    .map_err(Error::of("read triggers"))?;
    Ok((get(&row, 0)?, get(&row, 1)?))
}

/// The entry with which a rollout turned back; it does so once at most.
pub(crate) async fn turned_back(on: &mut Connection, id: &RolloutId) -> Result<Option<Transition>, Error> {
    let row = sqlx::query(
        "select rollout_id, version, from_stage, to_stage, step, fact_kind, fact_source, fact_id, fact, actor, reason, evidence, decided_at \
         from transition where rollout_id = $1 and to_stage = 'retreating' order by version limit 1",
    )
    .bind(id.as_str())
    .fetch_optional(on)
    .await
    .map_err(Error::of("read how a rollout turned back"))?;
    row.as_ref().map(transition).transpose()
}

/// Takes deliveries away that were settled, and are older than `before`.
pub(crate) async fn forget(on: &mut Connection, before: At, limit: i64) -> Result<u64, Error> {
    let settled = old_rows!("delivery", "where since_at < $1 and state in ('sent', 'parked') order by since_at");
    let done = sqlx::query(settled).bind(before.0).bind(limit).execute(on).await;
    Ok(done.map_err(Error::of("forget deliveries"))?.rows_affected())
}

fn delivery_row(row: &Row) -> Result<Delivery, Error> {
    let known = |word: String| Told::named(&word).ok_or(word);
    Ok(Delivery {
        channel: get(row, 0)?,
        about: get(row, 1)?,
        version: get(row, 2)?,
        kind: get(row, 3)?,
        dedup_key: get(row, 4)?,
        body: text(row, 5)?,
        subject: get(row, 6)?,
        news: get(row, 7)?,
        state: name(row, 8, known)?,
        tries: get(row, 9)?,
        is_unsure: get::<i64>(row, 10)? != 0,
        receipt: get(row, 11)?,
        error: get(row, 12)?,
        since_at: At(get(row, 13)?),
        attempt_at: At(get(row, 14)?),
    })
}
