//! `tidegate doctor` beside real servers: what is well, and each thing that is not, with what to do about it.

use std::process::Command;

use async_nats::jetstream::{self, consumer::pull};

use super::{Plant, command, secret, served};
use crate::house::{House, binary};
use crate::nats::Nats;
use servers::Postgres;

/// Runs it and gives its exit code and what it says.
fn doctor(prepare: impl FnOnce(&mut Command)) -> (i32, String) {
    let mut doctor = command("tidegate");
    doctor.arg("doctor").env("TIDEGATE_URL", "http://127.0.0.1:1");
    prepare(&mut doctor);
    let out = doctor.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.starts_with('[') || said.lines().all(|line| line.chars().count() <= 80), "{said}");
    (out.status.code().unwrap(), said)
}

/// What it says of one thing, in one line.
fn of(said: &str, thing: &str) -> String {
    let mut lines = said.lines().skip_while(|line| line.split_whitespace().nth(1) != Some(thing));
    let first = lines.next().unwrap_or_else(|| panic!("nothing of {thing}: {said}"));
    let more = lines.take_while(|line| line.starts_with("      "));
    [first].into_iter().chain(more).flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_processes_of_their_own_well() {
    let plant = Plant::start().await;
    // A router has said that it serves.
    let _upstreams = served(&plant.house).await;
    let (code, said) = doctor(|doctor| {
        doctor.args(["--nats-monitor", &plant.nats.monitor()]).env("TIDEGATE_URL", &plant.house.api);
        doctor.env("TIDEGATE_NATS_URL", plant.nats.url());
        doctor.env("TIDEGATE_DATABASE_URL_FILE", plant.house.data().join("database"));
    });
    let warned: Vec<_> = said.lines().filter(|line| line.starts_with("warn")).collect();
    // The server of these tests forgets at a crash what it said was written, which is quicker.
    assert!(code == 1 && warned.is_empty() && said.matches("FAIL").count() == 1, "{said}");
    assert!(of(&said, "settings").starts_with("FAIL settings fsync = off: a crash of the machine"), "{said}");
    for thing in ["nats-server", "streams", "consumers", "heartbeat", "routers", "sync", "database", "schema", "roles"]
    {
        assert!(of(&said, thing).starts_with("ok "), "{said}");
    }
    for thing in ["connections", "outbox", "clocks", "api", "parked"] {
        assert!(of(&said, thing).starts_with("ok "), "{said}");
    }
    plant.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_what_a_server_lacks_and_what_to_do() {
    let mut nats = Nats::start();
    let url = nats.url();
    let look = || doctor(|doctor| _ = doctor.env("TIDEGATE_NATS_URL", &url));
    let (code, said) = look();
    let streams = of(&said, "streams");
    assert!(code == 1 && streams.contains("TG_CMD, TG_LOOP") && streams.ends_with("→ run `tidegate init`"), "{said}");
    assert!(of(&said, "database").contains("warn") && said.contains("set TIDEGATE_DATABASE_URL_FILE"), "{said}");

    let init = Command::new(binary()).args(["init", "--small", "--nats", &url]).output().unwrap();
    assert!(init.status.success());
    let jetstream = nats.jetstream().await;
    let odd = pull::Config { durable_name: Some("analyzer".to_owned()), max_deliver: 3, ..pull::Config::default() };
    jetstream.delete_consumer_from_stream("analyzer", "TG_LOOP").await.unwrap();
    jetstream.create_consumer_on_stream(odd, "TG_LOOP").await.unwrap();
    jetstream.delete_consumer_from_stream("notifier", "TG_NEWS").await.unwrap();
    let there = jetstream.get_stream("TG_OBS").await.unwrap().cached_info().config.clone();
    let short = jetstream::stream::Config { max_age: std::time::Duration::from_secs(60), ..there };
    jetstream.update_stream(short).await.unwrap();
    let beats = jetstream.get_key_value("tg_beat").await.unwrap();
    for key in ["a", "b", "c"] {
        beats.put(key, vec![b'x'; 200_000].into()).await.unwrap();
    }
    let (code, said) = doctor(|doctor| {
        doctor.env("TIDEGATE_NATS_URL", &url).args(["--nats-monitor", &nats.monitor(), "--output", "json"]);
    });
    let findings: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
    let mut wrong: Vec<_> = findings
        .iter()
        .filter(|finding| finding["grade"] != "ok")
        .map(|finding| {
            [&finding["grade"], &finding["of"], &finding["found"]].map(|word| word.as_str().unwrap()).join(" ")
        })
        .collect();
    wrong.sort();
    assert_eq!(code, 1);
    insta::assert_snapshot!(wrong.join("\n"));
    assert!(findings.iter().all(|finding| (finding["grade"] == "ok") == finding["remedy"].is_null()), "{said}");

    nats.kill();
    let (code, said) = look();
    let gone = of(&said, "nats-server");
    assert!(code == 1 && gone.ends_with("→ start it, or mend TIDEGATE_NATS_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_what_a_database_lacks_and_what_to_do() {
    let postgres = Postgres::start_with(&["fsync=off", "full_page_writes=off", "max_connections=20"]);
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path(), &postgres.url());
    let look = || doctor(|doctor| _ = doctor.env("TIDEGATE_DATABASE_URL_FILE", &file));
    let (code, said) = look();
    assert!(code == 1 && of(&said, "schema") == "FAIL schema there is none → run `tidegate migrate`", "{said}");
    let store = postgres.store().await;
    postgres.say("alter role tidegate_api rename to tidegate_api_of_old; insert into outbox (service, message_id, subject, headers, body, created_at, claimed_until, tries) values ('api', '1', 's', '{}', '{}', 5, 0, 0); update _sqlx_migrations set version = 9000 where version = (select max(version) from _sqlx_migrations)").await;
    let (code, said) = look();
    assert!(code == 1 && of(&said, "schema").ends_with("→ start the services of the newer release"), "{said}");
    assert!(of(&said, "roles").starts_with("warn roles there is no tidegate_api →"), "{said}");
    assert!(of(&said, "connections").contains("set `max_connections` to"), "{said}");
    assert_eq!(said.matches("pg_reload_conf").count(), 2, "fsync and full_page_writes: {said}");
    postgres
        .say("update _sqlx_migrations set version = (select count(*) from _sqlx_migrations) where version = 9000")
        .await;
    let waiting = of(&look().1, "outbox");
    assert!(waiting.starts_with("warn outbox 1 of api wait,") && waiting.contains("→ start api;"), "{waiting}");
    store.close().await;
    drop(postgres);
    let (code, said) = look();
    assert!(code == 1 && of(&said, "database").contains("→ start PostgreSQL, or mend the address"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_asks_the_api_of_one_process() {
    let house = House::start();
    let (code, said) = doctor(|doctor| _ = doctor.env("TIDEGATE_URL", &house.api));
    assert!(code == 0 && of(&said, "routers") == "ok routers live: embedded", "{said}");
    assert_eq!(of(&said, "parked"), "ok parked nothing: every message was handled");
    let (code, said) = doctor(|_| {});
    assert!(code == 1 && of(&said, "api").ends_with("→ start it, or say where it is: TIDEGATE_URL"), "{said}");
    house.stop();
}
