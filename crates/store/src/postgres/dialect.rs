//! The words that PostgreSQL has for what SQLite says otherwise; the twin is `sqlite/dialect.rs`.

/// The rows of a list in JSON, as `value`, each with its place, as `key`.
macro_rules! listed {
    ($list:literal) => {
        concat!("json_array_elements(", $list, "::json) with ordinality as listed (value, key)")
    };
}

/// Rows whose column is among those that a select finds. As an array they are found first, once, and then looked up by the index;
/// with `in` the planner may rather read the whole table, or find them again for each row.
macro_rules! among {
    ($column:literal, $($select:expr),+) => {
        concat!($column, " = any (array(", $($select,)+ "))")
    };
}

/// The number at a path of a column in JSON.
macro_rules! number {
    ($column:literal, $first:literal $(, $key:literal)*) => {
        concat!("(", $column, "::json #>> '{", $first, $(",", $key,)* "}')::double precision")
    };
}

/// A write of one row of `rollout`, and the entry of its log if there was such a row. The arguments of the entry come first.
macro_rules! logged {
    ($write:literal) => {
        concat!(
            "with written as (",
            $write,
            " returning 1) insert into transition (rollout_id, version, from_stage, to_stage, step, fact_kind, fact_source, fact_id, fact, actor, \
             reason, evidence, decided_at, previous_hash, hash) select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15 from written"
        )
    };
}

/// Behind a read whose rows are about to change: whoever comes second waits, and then reads what the first one wrote.
macro_rules! held {
    ($table:literal by $key:literal) => {
        concat!(" order by ", $key, " for update of ", $table)
    };
}

/// Behind a read of rows that are claimed: whoever comes second takes others, and waits for nobody.
macro_rules! unheld {
    () => {
        " for update skip locked"
    };
}

/// Takes rows of a table away: `$2` of them at most, found by what follows the table's name.
macro_rules! old_rows {
    ($table:literal, $found:literal) => {
        concat!(
            "delete from ",
            $table,
            " where ctid = any (array(select ctid from ",
            $table,
            " ",
            $found,
            " limit $2))"
        )
    };
}

/// Goes from service to service by the index, which begins with it. The order in which the marks of one are taken is that of the
/// index: without it the planner would rather read the whole table.
pub(crate) const FORGET_MARKS: &str = "\
    with recursive named (service) as (select min(service) from inbox union all \
    select (select min(service) from inbox where inbox.service > named.service) from named where named.service is not null) \
    delete from inbox where ctid = any (array(select old.ctid from named cross join lateral (select ctid from inbox \
    where inbox.service = named.service and handled_at < $1 order by handled_at limit $2) as old limit $2))";

/// What [`logged`] counts of a row and its entry.
pub(super) const LOGGED: u64 = 1;

pub(super) use {among, held, listed, logged, number, old_rows, unheld};
