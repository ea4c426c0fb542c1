//! A real PostgreSQL server.

pub(crate) use servers::Postgres;
