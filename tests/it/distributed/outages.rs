//! A server is gone (F13, F14, F16, F23, F24, F36, F37): what can go on goes on, nothing is lost, and everything resumes by itself.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use serde_json::{Value, json};

use super::plant::Plant;
use super::process::Process;
use super::{served, steps};
use crate::house::{House, LIMIT, eventually};
use crate::witness::Witness;

/// The shortest that a policy may ask for.
const LEASE: Duration = Duration::from_secs(15);
/// Without a bus a stop has reached every router by then.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// A server that is killed again and again is there for so long.
const UP: Duration = Duration::from_millis(700);
/// Models of a crowd.
const MODELS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f13_and_f23_servers_that_die_again_and_again_under_load_only_slow_a_rollout_down() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    for (candidate, is_bus) in [("2", true), ("1", false)] {
        let id = plant.promote(candidate, &steps(&[25, 50, 75], "1s")).await;
        for _ in 0..8 {
            tokio::time::sleep(UP).await;
            if is_bus {
                plant.nats.kill();
                plant.nats.start_again();
            } else {
                plant.postgres.crash();
                plant.postgres.start_again();
            }
        }
        let ended = plant.house.ended(&id).await;
        assert_eq!(ended["stage"], "completed", "{ended}");
        plant.house.until("/v1/models/reranker", |model| model["active"] == candidate).await;
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f14_commands_are_taken_while_the_bus_is_down_and_all_are_applied_afterwards() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let upstreams = served(&plant.house).await;
    let names: Vec<_> = (0..MODELS).map(|number| format!("model-{number}")).collect();
    for name in &names {
        plant.house.serves(name, "1", &upstreams[0].url).await;
        plant.house.version(name, "2", &upstreams[1].url).await;
    }
    let users = plant.users(&witness);
    plant.nats.kill();
    let mut ids = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let path = format!("/v1/registry/{name}/2/promote");
        let (status, answer) = plant.house.post(&path, &steps(&[50], "500ms")).await;
        assert_eq!(status, 202, "{answer}");
        ids.push(answer["rollout_id"].as_str().unwrap().to_owned());
        // A second command to some. Each is a rollout of its own, so either may come first, and the other finds it done or under way.
        if number % 3 == 0 {
            let again = plant.house.post(&path, &json!({"policy": "activate"})).await;
            assert_eq!(again.0, 202, "{}", again.1);
        }
    }
    plant.nats.start_again();
    for (number, (id, name)) in ids.iter().zip(&names).enumerate() {
        let ended = plant.house.ended(id).await;
        assert!(ended["stage"] == "completed" || number % 3 == 0 && ended["stage"] == "rejected", "{ended}");
        plant.house.until(&format!("/v1/models/{name}"), |model| model["active"] == "2").await;
    }
    eventually("every command has its rollout, and none is left", async || {
        let rollouts = plant.read("/v1/rollouts?limit=200").await.unwrap_or_default();
        let of_them = rollouts["items"].as_array().cloned().unwrap_or_default();
        let of_them: Vec<Value> = of_them.into_iter().filter(|row| row["candidate"] == "2").collect();
        of_them.len() == MODELS + MODELS.div_ceil(3)
            && of_them.iter().all(|row| ["completed", "rejected"].iter().any(|stage| row["stage"] == *stage))
    })
    .await;
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

/// Has the stream of commands take no more, or as much as before.
async fn limit_commands(plant: &Plant, max_bytes: Option<i64>) -> i64 {
    let jetstream = plant.nats.jetstream().await;
    let config = jetstream.get_stream("TG_CMD").await.unwrap().cached_info().config.clone();
    let before = config.max_bytes;
    let stream = jetstream.get_stream("TG_CMD").await.unwrap();
    let max_bytes = max_bytes.unwrap_or_else(|| i64::try_from(stream.cached_info().state.bytes).unwrap() + 1);
    jetstream.update_stream(Config { max_bytes, ..config }).await.unwrap();
    before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_full_command_stream_refuses_nothing_that_was_taken_and_no_rollback() {
    let (plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let id = plant.promote("2", &steps(&[100], "10m")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let before = limit_commands(&plant, None).await;
    // The routers hear it although no stream takes it.
    let (status, said) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{said}");
    eventually("the candidate is gone", async || plant.house.ask("reranker", "s").await.1 == "1").await;
    let (status, taken) =
        plant.house.post("/v1/registry/reranker/2/promote", &json!({"policy": "activate", "when_live": "queue"})).await;
    assert_eq!(status, 202, "{taken}");
    // As if ten thousand waited.
    plant.postgres.say("insert into outbox (service, message_id, subject, headers, body, created_at, claimed_until, tries) \
        select 'api', 'crowd.' || n, 'tg.cmd.default._.x.y', '{}', '{}', 1, 9000000000000000, 0 from generate_series(1, 10001) n").await;
    let queued = json!({"policy": "activate", "when_live": "queue"});
    eventually("new rollouts are refused", async || {
        plant.house.post("/v1/registry/reranker/2/promote", &queued).await.0 == 503
    })
    .await;
    let (status, said) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{said}");
    plant.postgres.say("delete from outbox where message_id like 'crowd.%'").await;
    limit_commands(&plant, Some(before)).await;
    assert!(matches!(plant.house.ended(&id).await["stage"].as_str(), Some("rolled_back")));
    let ended = plant.house.ended(taken["rollout_id"].as_str().unwrap()).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_without_a_database_nothing_moves_and_it_goes_on_alone_within_five_seconds() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[50], "3s")).await;
    let path = format!("/v1/rollouts/{id}");
    let before = plant.house.until(&path, |rollout| rollout["stage"] == "observing").await;
    plant.postgres.crash();
    let since = Instant::now();
    // Longer than the step, and far shorter than the lease.
    while since.elapsed() < Duration::from_secs(8) {
        let split = candidates(&plant.house).await;
        assert!((1..40).contains(&split), "{split} of 40 sessions have the candidate");
        assert_eq!(plant.house.get(&path).await.0, 503, "an answer that nobody can know");
    }
    plant.postgres.start_again();
    let back = Instant::now();
    plant.house.until(&path, |rollout| rollout["version"].as_i64() > before["version"].as_i64()).await;
    assert!(back.elapsed() < Duration::from_secs(5), "the next transition took {:?}", back.elapsed());
    assert_eq!(plant.house.ended(&id).await["stage"], "completed");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

/// How many of forty sessions the candidate answers; every one is answered.
async fn candidates(house: &House) -> usize {
    let mut candidates = 0;
    for session in 0..40 {
        let (status, version) = house.ask("reranker", &format!("s-{session}")).await;
        assert_eq!(status, 200);
        candidates += usize::from(version == "2");
    }
    candidates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f36_without_a_beat_the_candidate_is_gone_after_its_lease_whoever_is_dead() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let half = json!({"policy": {"name": "half", "lease": "15s", "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]}});
    let id = plant.promote("2", &half).await;
    let path = format!("/v1/rollouts/{id}");
    for dead in ["stage-scheduler", "nats", "postgres"] {
        plant.house.until(&path, |rollout| rollout["stage"] == "observing").await;
        eventually("the candidate serves", async || candidates(&plant.house).await > 5).await;
        let version = plant.house.get(&path).await.1["version"].as_i64();
        let since = Instant::now();
        match dead {
            "nats" => plant.nats.kill(),
            "postgres" => plant.postgres.crash(),
            service => plant.one(service, 0).kill(),
        }
        let mut last_seen = Duration::ZERO;
        loop {
            let began = since.elapsed();
            if candidates(&plant.house).await == 0 {
                break;
            }
            last_seen = began;
            assert!(began < LIMIT, "the candidate still answers");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(last_seen <= LEASE + Duration::from_secs(2), "with {dead} dead it answered for {last_seen:?}");
        match dead {
            "nats" => plant.nats.start_again(),
            "postgres" => plant.postgres.start_again(),
            service => plant.one(service, 0).start_again(),
        }
        // It comes back only by a decision.
        plant
            .house
            .until(&path, |rollout| rollout["version"].as_i64() > version && rollout["stage"] == "observing")
            .await;
        plant.house.until(&format!("{path}/history"), |history| history.to_string().contains("lease_expired")).await;
    }
    plant.say(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(plant.house.ended(&id).await["stage"], "cancelled");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_a_rollback_needs_no_database_and_is_recorded_when_there_is_one() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[50], "10m")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    plant.postgres.crash();
    let (status, answer) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "bad"})).await;
    assert_eq!((status, &answer["applied"]), (200, &json!(true)), "{answer}");
    assert_eq!(candidates(&plant.house).await, 0);
    plant.postgres.start_again();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_a_rollback_needs_no_bus_when_routers_can_ask_the_api() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let id = plant.promote("2", &steps(&[50], "10m")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    plant.nats.kill();
    let since = Instant::now();
    let (status, answer) = plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "bad"})).await;
    // Nobody can have read it back.
    assert_eq!((status, &answer["applied"]), (202, &json!(false)), "{answer}");
    eventually("the first router has heard of it", async || candidates(&plant.house).await == 0).await;
    eventually("the second one too", async || {
        let mut versions = Vec::new();
        for session in 0..40 {
            versions.push(plant.ask_at(1, &format!("s-{session}")).await);
        }
        versions.iter().all(|version| version == "1")
    })
    .await;
    assert!(since.elapsed() < STOP_LIMIT, "it took {:?}", since.elapsed());
    plant.nats.start_again();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_a_rollback_needs_neither_api_nor_database_when_it_is_said_on_the_bus() {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let id = plant.promote("2", &steps(&[100], "10m")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    plant.quiet().await;
    plant.processes.iter_mut().filter(|process| process.name != "router").for_each(Process::kill);
    plant.postgres.crash();
    assert_eq!(candidates(&plant.house).await, 40);
    let rollback = ["rollback", "reranker", "--direct", "--reason", "bad"];
    let out = plant.tidegate(&rollback);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.starts_with("applied: true; "), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(candidates(&plant.house).await, 0);
    plant.postgres.start_again();
    plant.processes.iter_mut().filter(|process| process.name != "router").for_each(Process::start_again);
    plant.until_ready().await;
    let ended = plant.house.ended(&id).await;
    assert_eq!((&ended["stage"], candidates(&plant.house).await), (&json!("rolled_back"), 0), "{ended}");
    // By the command itself, and not because the routers were found to hold it.
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains("bad")), "{ended}");
    let out = plant.tidegate(&rollback);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), said.contains("there is nothing to take back")), (Some(1), true), "{said}");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}
