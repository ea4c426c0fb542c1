//! The JetStream arm: streams and buckets on a nats-server, which may lose, repeat and reorder. The database is the record.

mod connection;
mod found;
mod init;
mod step;
mod streams;

pub use init::{Done, Wanted, init};
pub use streams::Size;
