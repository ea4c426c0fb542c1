//! The JetStream arm: streams and buckets on a nats-server, which may lose, repeat and reorder. The database is the record.

mod address;
mod connection;
mod found;
mod init;
mod link;
mod step;
mod streams;

pub use address::{NatsUrl, NoNatsUrl};
pub use connection::Connection;
pub use init::{Done, Wanted, init};
pub use streams::Size;
