//! Processes on machines whose clocks differ go by one time: that of the database.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use chassis::{Clock, Heartbeat, Told};
use proto::serving::Beat;
use rollout::At;
use servers::{Nats, Postgres};
use store::Store;

use crate::house::{LIMIT, binary};
use crate::nats::setting_up::init;

const HOUR_MS: i64 = 3_600_000;
/// What a look at another clock may be wrong by on a busy machine.
const NEAR_MS: i64 = 10_000;

/// Sets the clock of a server's database an hour ahead, for those who ask it.
const AHEAD: &str = "create schema ahead;
    create function ahead.clock_timestamp() returns timestamptz language sql
        as 'select pg_catalog.clock_timestamp() + interval ''1 hour''';
    alter database tidegate set search_path = ahead, public, pg_catalog";

/// Whether `told` is an hour ahead of this machine.
fn is_an_hour_ahead(told: At) -> bool {
    (told.ms_since(Clock::system().now()) - HOUR_MS).abs() < NEAR_MS
}

#[tokio::test]
async fn a_service_goes_by_the_clock_of_its_database() {
    let server = Postgres::start();
    server.store().await.close().await;
    server.say(AHEAD).await;
    let store = Store::connect(&server.url(), 1).await.unwrap();
    let time = Told::default();
    assert!(!is_an_hour_ahead(time.now()));
    time.ask(&store).await.unwrap();
    let clock = time.clock();
    assert!(is_an_hour_ahead(clock.now()), "{:?}", clock.now());
}

/// A process that ends with its test.
struct Router(Child);

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_router_goes_by_the_beats_of_its_control_part() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    assert_eq!(init(&nats, &["--small"]).0, 0);
    let jetstream = nats.jetstream().await;
    let (beats, routers) =
        (jetstream.get_key_value("tg_beat").await.unwrap(), jetstream.get_key_value("tg_router").await.unwrap());
    let mut command = Command::new(binary().with_file_name("router"));
    command.env("TIDEGATE_NATS_URL", nats.url()).env("TIDEGATE_DATA", folder.path()).env("TIDEGATE_LOG", "error");
    command.env("TIDEGATE_ROUTER", "127.0.0.1:0").env("TIDEGATE_ADMIN", "127.0.0.1:0");
    let _router = Router(command.spawn().unwrap());
    let (mut number, since) = (0, Instant::now());
    loop {
        number += 1;
        let beat = Beat { number, incarnation: 0, beat_at: Clock::system().now().plus_ms(HOUR_MS) };
        beats.put(Beat::KEY, beat.to_string().into()).await.unwrap();
        let said = routers.get("router._._").await.unwrap();
        let said = said.map(|said| serde_json::from_slice::<Heartbeat>(&said).unwrap());
        if said.as_ref().is_some_and(|said| is_an_hour_ahead(said.beat_at)) {
            return;
        }
        assert!(since.elapsed() < LIMIT, "{said:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
