//! A transaction: reads, changes, marks, messages, commit. Dropped without a commit, it changes nothing.

use rollout::At;

use crate::change::{Change, Written};
use crate::known::Known;
use crate::parking::{ReplayRow, UnparkedRow};
use crate::postgres::{answered, statements as postgres};
use crate::read::Rows;
use crate::relay::Placed;
use crate::rows::{BusValue, Mark, Outgoing, Parked};
use crate::sqlite::statements as sqlite;
use crate::{Error, Store};

/// A transaction that may write.
#[derive(Debug)]
pub enum Tx {
    /// Holds the one writer connection.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>, Known),
    /// Holds one connection of the pool.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, Known),
}

impl Tx {
    /// Reads inside the transaction.
    pub fn rows(&mut self) -> Rows<'_> {
        match self {
            Self::Sqlite(tx, known) => Rows::Sqlite(tx, Some(known)),
            Self::Postgres(tx, known) => Rows::Postgres(tx, Some(known)),
        }
    }

    /// Applies one write.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn apply(&mut self, change: &Change) -> Result<Written, Error> {
        match self {
            Self::Sqlite(on, known) => sqlite::changes::apply(on, known, change).await,
            Self::Postgres(on, known) => answered(postgres::changes::apply(on, known, change)).await,
        }
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the database refuses; whether it happened is then told by the inbox mark.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx, _) => tx.commit().await.map_err(Error::of("commit")),
            Self::Postgres(tx, _) => answered(async { tx.commit().await.map_err(Error::of("commit")) }).await,
        }
    }
}

macro_rules! writes {
    ($($(#[$doc:meta])* $module:ident :: $statement:ident as $visible:vis $name:ident ( $($argument:ident : $type:ty),* ) -> $result:ty;)+) => {
        impl Tx {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// When the database refuses it.
                $visible async fn $name(&mut self, $($argument: $type),*) -> Result<$result, Error> {
                    match self {
                        Self::Sqlite(on, _) => sqlite::$module::$statement(on, $($argument),*).await,
                        Self::Postgres(on, _) => answered(postgres::$module::$statement(on, $($argument),*)).await,
                    }
                }
            )+
        }
    };
}

writes! {
    /// Marks messages as settled, and gives how many were not yet: fewer than these, and nothing may be written for them.
    chassis::mark as pub mark(marks: &[Mark]) -> usize;
    /// Says messages, in this order; gives position and id of those whose id was not said before.
    chassis::say as pub say(messages: &[Outgoing]) -> Vec<(i64, String)>;
    /// Parks a message.
    chassis::park as pub park(parked: &Parked) -> ();
    /// Counts one more try of a message that was in hand when its service died; gives the tries.
    chassis::suspect as pub suspect(service: &str, source: &str, message_id: &str, at: At) -> i64;
    /// Takes the suspicion away.
    chassis::trust as pub trust(service: &str, source: &str, message_id: &str) -> ();
    /// Puts a value of a bucket at the revision read (0: there was none); `false` when another one was quicker.
    chassis::put_bus_value as pub put_bus_value(bucket: &str, value: &BusValue, at: At) -> bool;
    /// Asks for a replay or a drop; `false` when something is asked for already.
    parking::ask as pub ask(replay: &ReplayRow) -> bool;
    /// Takes the parked mark away, so that the message can be handled again; `false` when it is not parked any more.
    parking::unpark as pub unpark(parked: &Parked, actor: &str, at: At) -> bool;
    /// Throws a parked message away; its mark stays, so that it does not come again. `false` when it is gone.
    parking::delete as pub drop_parked(parked_id: &str) -> bool;
    /// A replayed message stays parked, with what is wrong with it now.
    parking::park_again as pub park_again(parked_id: &str, reason: &str, error: &str, at: At) -> ();
    /// Writes down what became of a parked message; nothing is asked for it any more.
    parking::conclude as pub unparked(parked: &Parked, done: &UnparkedRow) -> ();
    /// Begins another incarnation after the database was restored; `false` when it is not of incarnation `from` any more.
    safety::begin_incarnation as pub begin_incarnation(from: i64, to: i64) -> bool;
    /// Says messages, in this order, for a relay: until `claimed_until` they are left to whoever commits them. Gives position and
    /// id of those whose id was not said before.
    relay::say as pub say_to_relay(messages: &[Outgoing], claimed_until: At) -> Vec<(i64, String)>;
    /// What the stream said of rows: published, at this place of it. None for what it never takes.
    relay::published as pub published(rows: &[(i64, Option<i64>)], at: At) -> ();
    relay::claim as pub(crate) claim(service: &'static str, at: (At, At), limit: i64) -> Vec<Placed>;
    relay::postpone as pub(crate) postpone(rows: &[(i64, At)]) -> ();
    relay::publish_again as pub(crate) publish_again(service: &str, lane: &str, since: At) -> u64;
    relay::forget as pub(crate) forget_published(service: &str, before: At, limit: i64) -> u64;
    /// Takes away what nobody needs any more.
    sweeping::sweep as take_away(position: i64, said_before: At, now: At) -> u64;
    /// Takes away what a service does not need any more.
    sweeping::sweep_of as take_away_of(service: &str, now: At) -> u64;
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
        let mut tx = self.begin().await?;
        let gone = tx.take_away(position, said_before, now).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// Takes away what one service does not need any more, and needs no right to what others write. Gives how many rows went.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn sweep_of(&self, service: &str, now: At) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let gone = tx.take_away_of(service, now).await?;
        tx.commit().await?;
        Ok(gone)
    }
}
