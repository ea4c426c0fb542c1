//! What was there is gone: the disk of nats-server goes back (F15), a stream is overwritten before it was read (F17), the database is
//! an older one (F26).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;

use serde_json::Value;

use super::plant::Plant;
use super::process::Process;
use super::{served, steps};
use crate::house::eventually;
use crate::witness::Witness;

/// The disk goes back by so many messages at least.
const LOST: usize = 100;
/// After which everything is as it should be.
const WELL_AGAIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_a_server_whose_disk_went_back_by_a_hundred_messages_is_told_them_again() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    plant.quiet().await;
    plant.nats.kill();
    let older = plant.nats.copy_store();
    plant.nats.start_again();
    let before = plant.server().await.ids().await.len();
    for candidate in ["2", "1", "2"] {
        let id = plant.promote(candidate, &steps(&[20, 40, 60, 80], "300ms")).await;
        assert_eq!(plant.house.ended(&id).await["stage"], "completed");
        plant.house.until("/v1/models/reranker", |model| model["active"] == candidate).await;
    }
    let id = plant.promote("1", &steps(&[25, 50, 75], "2s")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let had = plant.server().await.ids().await;
    assert!(had.len() >= before + LOST, "{before} and {} are too few", had.len());
    plant.nats.kill();
    plant.nats.put_back(&older);
    plant.nats.start_again();
    let since = Instant::now();
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    plant.quiet().await;
    assert!(since.elapsed() < WELL_AGAIN, "it took {:?}", since.elapsed());
    let has = plant.server().await.ids().await;
    assert_eq!(had.difference(&has).collect::<Vec<_>>(), Vec::<&String>::new());
    let client = plant.house.client.clone();
    let page = plant.one("stage-scheduler", 0).page(&client, "/metrics").await.unwrap().1;
    let went_back = page.lines().find_map(|line| line.strip_prefix("tidegate_broker_went_back_total "));
    assert!(went_back.is_some_and(|count| count != "0"), "{page}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_an_answer_that_was_overwritten_before_it_was_read_is_asked_for_again() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let _upstreams = served(&plant.house).await;
    let users = plant.users(&witness);
    let mut overwritten = BTreeSet::new();
    plant.quiet().await;
    plant.one("traffic-updater", 0).signal("STOP");
    let id = plant.promote("2", &steps(&[50], "3s")).await;
    let path = format!("/v1/rollouts/{id}");
    for (step, goes_on) in [(0, "observing"), (1, "completed")] {
        let waits = |rollout: &Value| rollout["stage"] == "shifting" && rollout["step"] == step;
        plant.house.until(&path, waits).await;
        eventually("the split is asked for", async || plant.is_published("stage-scheduler").await).await;
        plant.one("stage-scheduler", 0).kill();
        let server = plant.server().await;
        let known = server.ids_of("TG_LOOP").await;
        plant.one("traffic-updater", 0).signal("CONT");
        eventually("the split is applied", async || server.ids_of("TG_LOOP").await.len() > known.len()).await;
        overwritten.extend(server.ids_of("TG_LOOP").await);
        server.overwrite("TG_LOOP", "tg.normal.default.other.thing.said").await;
        plant.one("stage-scheduler", 0).start_again();
        plant.house.until(&path, |rollout| rollout["stage"] == goes_on).await;
        plant.one("traffic-updater", 0).signal("STOP");
    }
    plant.one("traffic-updater", 0).signal("CONT");
    let ended = plant.house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    let mut wrong = plant.violations(&witness).await;
    wrong.retain(|what| !overwritten.iter().any(|id| what.starts_with(&format!("{id} at "))));
    assert_eq!(wrong, Vec::<String>::new());
}

/// Has every stream know an id for a second only, as if minutes had passed.
async fn forget_ids(plant: &Plant) {
    let jetstream = plant.nats.jetstream().await;
    for name in ["TG_CMD", "TG_LOOP", "TG_NEWS"] {
        let config = jetstream.get_stream(name).await.unwrap().cached_info().config.clone();
        jetstream.update_stream(Config { duplicate_window: Duration::from_secs(1), ..config }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_restored_database_counts_above_every_target_and_says_what_it_has_forgotten() {
    let (mut plant, witness) = (Plant::start().await, Witness::default());
    let upstreams = served(&plant.house).await;
    plant.house.serves("other", "1", &upstreams[0].url).await;
    plant.house.version("other", "2", &upstreams[1].url).await;
    let id = plant.promote("2", &steps(&[25, 50], "3s")).await;
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    plant.quiet().await;
    plant.postgres.crash();
    let backup = plant.postgres.copy_data();
    plant.postgres.start_again();
    assert_eq!(plant.house.ended(&id).await["stage"], "completed");
    let lost = plant.house.promote("other", "2", &steps(&[50], "500ms")).await;
    assert_eq!(plant.house.ended(&lost).await["stage"], "completed");
    // And a model that was not there at the backup, with a candidate that nobody will know of.
    plant.house.serves("late", "1", &upstreams[0].url).await;
    plant.house.version("late", "2", &upstreams[1].url).await;
    let unknown = plant.house.promote("late", "2", &steps(&[100], "1h")).await;
    plant.house.until(&format!("/v1/rollouts/{unknown}"), |rollout| rollout["stage"] == "observing").await;
    forget_ids(&plant).await;
    plant.quiet().await;

    let users = plant.users(&witness);
    let is_theirs = |process: &Process| process.name != "router";
    plant.end(is_theirs);
    plant.postgres.crash();
    plant.postgres.put_back(&backup);
    plant.postgres.start_again();
    let forgotten = plant.forgotten().await;
    let out = plant.tidegate(&["restore"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8(out.stdout).unwrap();
    for words in [
        "incarnation 1: ",
        "  default/other: generation ",
        "  default/reranker: generation ",
        &lost,
        "promotion.requested",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    assert!(said.contains(&unknown) && said.contains("  default/late: generation "), "{said}");
    assert!(!said.contains(&id) && !said.contains("requests.counted"), "{said}");
    assert!(plant.tidegate(&["rollback", "late", "--direct"]).status.success());
    assert_eq!(plant.house.ask("late", "s").await, (200, "1".to_owned()));
    plant.processes.iter_mut().filter(|process| is_theirs(process)).for_each(Process::start_again);
    plant.until_ready().await;
    assert_eq!(plant.house.ended(&id).await["stage"], "completed");
    eventually("what was served at the backup serves again", async || {
        plant.house.ask("other", "s").await == (200, "1".to_owned())
    })
    .await;
    plant.postgres.until("select count(*) = 2 from route where generation > $1", 1 << 40).await;
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    let mut wrong = plant.violations(&witness).await;
    // What was over after the backup is not over in it, and what was said or counted since is nobody's. A foreign route of a rollout
    // that is over moves nothing but the route.
    let is_expected = |what: &String| {
        what.contains(" was over as ")
            || what.contains(".drift.")
            || what.contains(" at tg.obs.")
            || forgotten.iter().any(|id| what.starts_with(&format!("{id} at ")))
    };
    wrong.retain(|what| !is_expected(what));
    assert_eq!(wrong, Vec::<String>::new());
}
