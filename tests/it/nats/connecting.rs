//! A process's connection to a server that comes and goes.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use chassis::{Connection, Metrics};

use super::Nats;
use super::setting_up::init;
use crate::house::LIMIT;

const NEEDED: &[&str] = &["TG_CMD", "KV_tg_route"];

async fn connection(nats: &Nats) -> Connection {
    Connection::open(&nats.url().parse().unwrap(), "api", &Metrics::default()).await.unwrap()
}

async fn until_up(connection: &Connection) {
    assert!(tokio::time::timeout(LIMIT, connection.up()).await.is_ok(), "no connection");
}

#[tokio::test]
async fn a_process_that_starts_before_its_server_finds_it() {
    let mut nats = Nats::start();
    nats.kill();
    let connection = connection(&nats).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), connection.up()).await.is_err());
    nats.start_again();
    until_up(&connection).await;
    assert_eq!(connection.ailing(), None);
}

#[tokio::test]
async fn a_server_that_was_not_set_up_for_us_is_refused_with_what_it_lacks() {
    let nats = Nats::start();
    let connection = connection(&nats).await;
    until_up(&connection).await;
    let lacks = async || connection.verify(NEEDED).await.unwrap_err().to_string();
    assert_eq!(
        lacks().await,
        "the nats-server is not set up for this release: TG_CMD is missing; KV_tg_route is missing; run `tidegate init`"
    );
    assert_eq!(init(&nats, &["--small"]).0, 0);
    connection.verify(NEEDED).await.unwrap();
    let jetstream = nats.jetstream().await;
    let there = jetstream.get_stream("TG_CMD").await.unwrap().cached_info().config.clone();
    jetstream.update_stream(Config { discard: DiscardPolicy::Old, ..there }).await.unwrap();
    assert!(lacks().await.contains(": TG_CMD has another discard;"), "{}", lacks().await);
}

#[tokio::test]
async fn a_process_with_the_wrong_password_says_so_and_is_not_ready() {
    let nats = Nats::start();
    let url = nats.url().replace("admin:admin", "admin:wrong").parse().unwrap();
    let connection = Connection::open(&url, "api", &Metrics::default()).await.unwrap();
    let told = async {
        loop {
            if let Some(why) = connection.ailing() {
                return why;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let why = tokio::time::timeout(LIMIT, told).await.unwrap();
    assert!(why.starts_with("no nats-server for 5 s: ") && why.contains("authorization violation"), "{why}");
    assert!(!why.contains("wrong"), "{why}");
}
