//! The words that SQLite has for what PostgreSQL says otherwise; the twin is `postgres/dialect.rs`.

/// The rows of a list in JSON, as `value`, each with its place, as `key`.
macro_rules! listed {
    ($list:literal) => {
        concat!("json_each(", $list, ") as listed")
    };
}

/// Rows whose column is among those that a select finds.
macro_rules! among {
    ($column:literal, $($select:expr),+) => {
        concat!($column, " in (", $($select,)+ ")")
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

/// Behind a read whose rows are about to change: the one writer holds them all.
macro_rules! held {
    ($table:literal by $key:literal) => {
        ""
    };
}

/// Behind a read of rows that are claimed: the one writer claims them alone.
macro_rules! unheld {
    () => {
        ""
    };
}

/// Takes rows of a table away: `$2` of them at most, found by what follows the table's name.
macro_rules! old_rows {
    ($table:literal, $found:literal) => {
        concat!("delete from ", $table, " where rowid in (select rowid from ", $table, " ", $found, " limit $2)")
    };
}

/// Goes from service to service by the index, which begins with it.
pub(crate) const FORGET_MARKS: &str = "\
    with recursive named (service) as (select min(service) from inbox union all \
    select (select min(service) from inbox where inbox.service > named.service) from named where named.service is not null) \
    delete from inbox where rowid in (select inbox.rowid from named cross join inbox on inbox.service = named.service \
    and inbox.handled_at < $1 limit $2)";

/// What [`logged`] counts of a row and its entry.
pub(super) const LOGGED: u64 = 2;

pub(super) use {among, held, listed, logged, number, old_rows, unheld};
