//! The migrations of an engine, and what their running can come to.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::Error;

/// Number, name and text of each migration, in their order.
pub(crate) type Schema = &'static [(i64, &'static str, &'static str)];

pub(crate) fn migrator(schema: Schema) -> Migrator {
    let migrations = schema.iter().map(|(version, name, sql)| {
        Migration::new(*version, Cow::Borrowed(name), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// The number of the last migration.
pub(crate) fn latest(schema: Schema) -> i64 {
    schema.last().map_or(0, |(version, ..)| *version)
}

/// What stopped the migrations of `place`; `refused` sorts what the database itself said.
pub(crate) fn stopped(
    cause: MigrateError,
    place: String,
    schema: Schema,
    refused: impl FnOnce(sqlx::Error) -> Error,
) -> Error {
    match cause {
        MigrateError::VersionMissing(found) => Error::Newer { place, found, known: latest(schema) },
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => refused(cause),
        cause => Error::Damaged { place, cause: cause.to_string() },
    }
}
