//! A service that logs in to the database as itself, and so sees what is its own.

use std::process::Command;
use std::time::Instant;

use super::process::free_address;
use super::{command, secret};
use crate::house::{LIMIT, binary};
use crate::nats::Nats;
use servers::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_of_a_service_are_of_what_it_may_see_and_it_warns_of_nothing() {
    let (nats, postgres) = (Nats::start(), Postgres::start());
    let folder = tempfile::tempdir().unwrap();
    postgres.store().await.close().await;
    postgres
        .say(
            "alter role tidegate_deployer login; \
             insert into parked (id, service, source, message_id, subject, reason, error, headers, body, tries, first_seen_at, parked_at) \
             values ('a', 'deployer', 's', '1', 'x', 'malformed', 'e', '{}', '', 1, 1, 1), \
                    ('b', 'analyzer', 's', '1', 'x', 'malformed', 'e', '{}', '', 1, 1, 1)",
        )
        .await;
    let init = Command::new(binary()).args(["init", "--small", "--nats", &nats.url()]).output().unwrap();
    assert!(init.status.success());
    let (admin, log) = (free_address(), folder.path().join("log"));
    let mut deployer = command("deployer");
    deployer.env("TIDEGATE_NATS_URL", nats.url()).env("TIDEGATE_ADMIN", &admin).env("TIDEGATE_LOG", "warn");
    deployer.env("TIDEGATE_DATABASE_URL_FILE", secret(folder.path(), &postgres.url_of("tidegate_deployer")));
    let mut child = deployer.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let (client, since) = (reqwest::Client::builder().no_proxy().build().unwrap(), Instant::now());
    let page = loop {
        if let Ok(answer) = client.get(format!("http://{admin}/metrics")).send().await {
            break answer.text().await.unwrap();
        }
        assert!(since.elapsed() < LIMIT, "{}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    for line in [
        "tidegate_parked_messages 1\n",
        "tidegate_outbox_waiting 0\n",
        "tidegate_consumer_lag_messages{consumer=\"deployer\"} 0\n",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    assert!(!page.contains("tidegate_rollout_info{"), "{page}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
}
