//! A transaction: reads, changes, marks, messages, commit. Dropped without a commit, it changes nothing.

use rollout::At;

use crate::change::{Change, Written};
use crate::known::Known;
use crate::read::Rows;
use crate::rows::{BusValue, Mark, Outgoing, Parked};
use crate::sqlite::{chassis, judging, log, notifying, queue, registry, rollouts, safety, serving};
use crate::{Error, Store};

/// A transaction that may write.
#[derive(Debug)]
pub enum Tx {
    /// Holds the one writer connection.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>, Known),
}

impl Tx {
    /// Reads inside the transaction.
    pub fn rows(&mut self) -> Rows<'_> {
        match self {
            Self::Sqlite(tx, known) => Rows::Sqlite(tx, Some(known)),
        }
    }

    /// Applies one write.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn apply(&mut self, change: &Change) -> Result<Written, Error> {
        let Self::Sqlite(on, known) = self;
        known.forget(change);
        let rows = match change {
            Change::Open { row, salt, entry } => rollouts::open(on, row, salt, entry).await?,
            Change::Move { row, from_version, entry } => {
                let previous = match known.log_end(&row.id, *from_version) {
                    Some(known) => Some(known),
                    None => log::end(on, &row.id, *from_version).await?,
                };
                rollouts::advance(on, row, *from_version, (entry, previous.as_deref())).await?
            }
            Change::Refuse(refusal) => rollouts::refuse(on, refusal).await.map(|()| 1)?,
            Change::Wish { route, from_generation, at } => rollouts::wish(on, route, *from_generation, *at).await?,
            Change::WakeQueued { tenant, model, at } => queue::wake_queued(on, tenant, model, *at).await.map(|()| 1)?,
            Change::Model(row) => registry::add_model(on, row).await?,
            Change::Version(row) => registry::add_version(on, row).await?,
            Change::Policy(row) => registry::add_policy(on, row).await?,
            Change::Followed { tenant, model, generation } => {
                registry::followed(on, tenant, model, *generation).await?
            }
            Change::Status { tenant, model, version, status, traffic_pct, at } => {
                registry::set_status(on, (tenant, model, version), status, *traffic_pct, *at).await?
            }
            Change::Promotion(row) => registry::add_promotion(on, row).await.map(|()| 1)?,
            Change::Tick(row) => judging::add_tick(on, row).await?,
            Change::Judge { row, from } => judging::set_judge(on, row, *from).await?,
            Change::JudgeEnded(id) => judging::end_judge(on, id).await.map(|()| 1)?,
            // An older sample or wish than the one there is late, not lost: the newer one stays.
            Change::Observe(row) => judging::observe(on, row).await.map(|_| 1)?,
            Change::Baseline(row) => judging::add_baseline(on, row).await?,
            Change::Target(row) => serving::set_target(on, row).await.map(|_| 1)?,
            Change::Drifted { target_id, since } => serving::drifted(on, target_id, *since).await.map(|_| 1)?,
            Change::Deliver(row) => notifying::deliver(on, row).await.map(|_| 1)?,
            Change::Attempted { row, from } => notifying::attempted(on, row, *from).await?,
            Change::Workload(row) => serving::set_workload(on, row).await.map(|_| 1)?,
            Change::Beat { from, at } => safety::add_beat(on, *from, *at).await?,
            // Whoever stopped it first is remembered.
            Change::Stop(row) => safety::add_stop(on, row).await.map(|_| 1)?,
            Change::Idempotency(row) => serving::answer(on, row).await?,
            Change::Answered { tenant, key, answer } => serving::keep_answer(on, tenant, key, answer).await?,
        };
        Ok(Written::of(rows))
    }

    /// Marks messages as settled, and gives how many were not yet: fewer than these, and nothing may be written for them.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn mark(&mut self, marks: &[Mark]) -> Result<usize, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::mark(on, marks).await.map_err(Error::of("mark a message"))
    }

    /// Says messages, in this order; gives position and subject of those whose id was not said before.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn say(&mut self, messages: &[Outgoing]) -> Result<Vec<(i64, String)>, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::say(on, messages).await.map_err(Error::of("say a message"))
    }

    /// Parks a message.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn park(&mut self, parked: &Parked) -> Result<(), Error> {
        let Self::Sqlite(on, _) = self;
        chassis::park(on, parked).await.map_err(Error::of("park a message")).map(drop)
    }

    /// Counts one more try of a message that was in hand when its service died; gives the tries.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn suspect(&mut self, service: &str, source: &str, message_id: &str, at: At) -> Result<i64, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::suspect(on, service, source, message_id, at).await.map_err(Error::of("suspect a message"))
    }

    /// Takes the suspicion away.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn trust(&mut self, service: &str, source: &str, message_id: &str) -> Result<(), Error> {
        let Self::Sqlite(on, _) = self;
        chassis::trust(on, service, source, message_id).await.map_err(Error::of("trust a message"))
    }

    /// Puts a value of a bucket at the revision read (0: there was none); `false` when another one was quicker.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn put_bus_value(&mut self, bucket: &str, value: &BusValue, at: At) -> Result<bool, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::put_bus_value(on, bucket, value, at).await.map_err(Error::of("put a bus value"))
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the database refuses; whether it happened is then told by the inbox mark.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx, _) => tx.commit().await.map_err(Error::of("commit")),
        }
    }
}

/// Rows of a kind are deleted so many at a time, so that a sweep never holds the writer for long.
pub const SWEEP: u64 = 1_000;

impl Store {
    /// Takes away what nobody needs any more: messages that everybody settled up to `position` and that are older than
    /// `said_before`, marks, answers and samples that are out of use. Gives how many rows went: [`SWEEP`] or more means that
    /// another one may find more.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn sweep(&self, position: i64, said_before: At, now: At) -> Result<u64, Error> {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let at_once = i64::try_from(SWEEP).unwrap_or(i64::MAX);
        let mut tx = self.begin().await?;
        let Tx::Sqlite(on, _) = &mut tx;
        let mut gone =
            chassis::forget_said(on, position, said_before, at_once).await.map_err(Error::of("sweep the outbox"))?;
        gone +=
            chassis::forget_marks(on, now.plus_ms(-8 * DAY), at_once).await.map_err(Error::of("sweep the inbox"))?;
        gone += serving::forget_answers(on, now.plus_ms(-DAY), at_once).await?;
        gone += judging::forget(on, now.plus_ms(-DAY), now.plus_ms(-DAY / 12), at_once).await?;
        gone += judging::forget_ledgers(on, now.plus_ms(-30 * DAY), at_once).await?;
        gone += notifying::forget(on, now.plus_ms(-30 * DAY), at_once).await?;
        tx.commit().await?;
        Ok(gone)
    }
}
