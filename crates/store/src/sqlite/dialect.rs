//! The words that SQLite has for what PostgreSQL says otherwise; the twin is `postgres/dialect.rs`.

/// The rows of a list in JSON, as `value`, each with its place, as `key`.
macro_rules! listed {
    ($list:literal) => {
        concat!("json_each(", $list, ") as listed")
    };
}

/// The number at a path of a column in JSON.
macro_rules! number {
    ($column:literal, $first:literal $(, $key:literal)*) => {
        concat!("json_extract(", $column, ", '$.", $first, $(".", $key,)* "')")
    };
}

/// A write of one row of `rollout`, and the entry of its log if there was such a row. The arguments of the entry come first.
macro_rules! logged {
    ($write:literal) => {
        concat!(
            $write,
            "; insert into transition (rollout_id, version, from_stage, to_stage, step, fact_kind, fact_source, fact_id, fact, actor, reason, \
             evidence, decided_at, previous_hash, hash) select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15 where changes() = 1"
        )
    };
}

/// Behind a read whose rollouts are about to change: the one writer holds them all.
macro_rules! held {
    () => {
        ""
    };
}

/// Behind a read of rows that are claimed: the one writer claims them alone.
macro_rules! unheld {
    () => {
        ""
    };
}

/// What [`logged`] counts of a row and its entry.
pub(super) const LOGGED: u64 = 2;

pub(super) use {held, listed, logged, number, unheld};
