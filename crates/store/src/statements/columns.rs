//! Reading the columns of a row.

use rollout::Stage;
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::{Engine, Row};
use crate::{Error, stored};

pub(crate) fn get<'r, T: sqlx::Decode<'r, Engine> + sqlx::Type<Engine>>(
    row: &'r Row,
    index: usize,
) -> Result<T, Error> {
    row.try_get(index).map_err(Error::of("read a column"))
}

/// A count that is never negative, which the engines keep as a signed one.
pub(crate) fn unsigned(row: &Row, index: usize) -> Result<u32, Error> {
    u32::try_from(get::<i64>(row, index)?).map_err(|cause| bad("count", &cause))
}

pub(crate) fn text<T: DeserializeOwned>(row: &Row, index: usize) -> Result<T, Error> {
    stored("column", &get::<String>(row, index)?)
}

pub(crate) fn name<T, E: std::fmt::Display>(
    row: &Row,
    index: usize,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<T, Error> {
    parse(get(row, index)?).map_err(|cause| bad("name", &cause))
}

pub(crate) fn stage(row: &Row, index: usize) -> Result<Stage, Error> {
    let text: String = get(row, index)?;
    Stage::named(&text).ok_or_else(|| bad("stage", &text))
}

pub(crate) fn bad(what: &'static str, cause: &impl std::fmt::Display) -> Error {
    Error::Stored { what, cause: cause.to_string() }
}
