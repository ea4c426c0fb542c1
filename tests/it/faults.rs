//! Kills at named places (F1, F2, F7, F43): the process ends there under a rollout with traffic, starts again, and the log is the
//! same as without; and the checker, which must see a design that was broken on purpose.

mod broken;
mod telling;
mod unparking;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use chassis::failpoint::PLACES;
use futures_util::StreamExt as _;
use rollout::Stage;
use serde_json::{Value, json};
use store::{Outgoing, Store};
use tempfile::TempDir;

use crate::checker::{stories, violations};
use crate::house::{House, Upstream};
use crate::traffic;
use crate::witness::Witness;

/// Houses that are killed side by side.
const AT_ONCE: usize = 2;
/// Commits of a whole rollout; none takes more.
const COMMITS_MAX: u32 = 100;

/// How the rollout ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Good,
    Bad,
}

impl Ending {
    fn plan(self, place: &str) -> Value {
        let dwell = match self {
            // The updater's own pass comes once a second.
            Self::Good if place == "updater_in_pass" => "2s",
            Self::Good => "300ms",
            Self::Bad => "1h",
        };
        json!({"policy": {"name": "quick", "steps": [{"split": 25, "dwell": dwell}, {"split": 100, "dwell": "0s"}]}})
    }

    fn stage(self) -> Stage {
        if self == Self::Good { Stage::Completed } else { Stage::RolledBack }
    }
}

/// What a run with a kill came to.
struct Run {
    died: bool,
    hits: BTreeMap<String, u64>,
    story: Vec<String>,
    wrong: Vec<String>,
}

/// A house in which version 1 serves, version 2 is known, and, for a bad end, its rollout is at its first step.
async fn prepared(ending: Ending, upstreams: &[Upstream; 2]) -> Arc<TempDir> {
    let house = House::start();
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    if ending == Ending::Bad {
        let id = house.promote("reranker", "2", &ending.plan("")).await;
        house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    }
    house.stop()
}

/// Says what leads to the ending until somebody has heard it, as a careful client does: under one key.
async fn asked(house: &House, ending: Ending, place: &str) -> bool {
    let (path, body) = match ending {
        Ending::Good => ("/v1/registry/reranker/2/promote".to_owned(), ending.plan(place)),
        Ending::Bad => {
            let Ok(page) = house.client.get(format!("{}/v1/rollouts", house.api)).send().await else { return false };
            let page: Value = page.json().await.unwrap_or_default();
            let Some(id) = page["items"][0]["id"].as_str().map(str::to_owned) else { return false };
            (format!("/v1/rollouts/{id}/rollback"), json!({}))
        }
    };
    let request = house.client.post(format!("{}{path}", house.api)).header("idempotency-key", "once").json(&body);
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}

/// A message that can never work, for the places that only such a one comes by.
async fn with_nonsense(folder: &Path) {
    let store = Store::open(folder).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let nonsense = Outgoing {
        service: "api",
        message_id: "cmd.nonsense".to_owned(),
        rollout_id: None,
        subject: "tg.cmd.default.reranker.rollout.stop".to_owned(),
        headers: "{}".to_owned(),
        body: "{".to_owned(),
        created_at: rollout::At(crate::witness::now_ms()),
    };
    tx.say(&[nonsense]).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

async fn run(ending: Ending, place: &str, armed: &str) -> Run {
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    let folder = prepared(ending, &upstreams).await;
    let parks = place.starts_with("park_");
    if parks {
        with_nonsense(folder.path()).await;
    }
    let hits = folder.path().join("hits");
    let variables = [("TIDEGATE_FAILPOINT", armed), ("TIDEGATE_FAILPOINT_HITS", hits.to_str().unwrap())];
    let witness = Witness::default();
    let mut died = true;
    if let Some(mut house) = House::try_start_as(Arc::clone(&folder), Stdio::null(), &variables) {
        let traffic = traffic::before(&house, "reranker", &witness);
        asked(&house, ending, place).await;
        died = house.dies_or("/v1/rollouts", |rollouts| is_over(rollouts, ending)).await;
        traffic.stop().await;
        house.kill();
    }
    let house = House::start_in(Arc::clone(&folder));
    let traffic = traffic::before(&house, "reranker", &witness);
    crate::house::eventually("what was asked for under a key can be asked again", async || {
        asked(&house, ending, place).await
    })
    .await;
    house.until("/v1/rollouts", |rollouts| is_over(rollouts, ending)).await;
    house.until("/v1/models/reranker", |model| model["active"] == if ending == Ending::Good { "2" } else { "1" }).await;
    traffic.stop().await;
    house.quiet().await;
    house.stop();
    let mut wrong = violations(folder.path()).await;
    if parks {
        wrong.retain(|what| !what.starts_with("parked cmd.nonsense by stage-scheduler: malformed"));
    }
    wrong.extend(witness.violations(folder.path()).await);
    let story = stories(folder.path()).await.pop().map(|(_, story)| story).unwrap_or_default();
    Run { died, hits: counted(&hits), story, wrong }
}

fn is_over(rollouts: &Value, ending: Ending) -> bool {
    let latest = &rollouts["items"][0];
    latest["candidate"] == "2" && latest["stage"] == ending.stage().name()
}

fn counted(hits: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(hits).unwrap_or_default();
    text.lines().fold(BTreeMap::new(), |mut counts, place| {
        *counts.entry(place.to_owned()).or_default() += 1;
        counts
    })
}

fn check(run: &Run, what: &str, expected: &[String]) {
    assert_eq!(run.wrong, Vec::<String>::new(), "killed at {what}");
    assert_eq!(run.story, expected, "killed at {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_named_place_changes_no_story() {
    let undisturbed = [run(Ending::Good, "", "").await, run(Ending::Bad, "", "").await];
    for (run, ending) in undisturbed.iter().zip([Ending::Good, Ending::Bad]) {
        check(run, "no place", &run.story);
        assert!(!run.died && run.story.last().unwrap().contains(ending.stage().name()), "{:?}", run.story);
    }
    // Those of the notifier, of replays and of the relay have tests of their own.
    let elsewhere = ["notifier_", "replay_", "relay_"];
    let places = || PLACES.iter().filter(|place| !elsewhere.iter().any(|front| place.starts_with(front)));
    let cases = places().flat_map(|place| [(*place, Ending::Good), (*place, Ending::Bad)]);
    let runs = futures_util::stream::iter(cases)
        .map(|(place, ending)| async move { (place, ending, run(ending, place, &format!("{place}:kill")).await) });
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    let mut runs = runs.buffer_unordered(AT_ONCE);
    while let Some((place, ending, run)) = runs.next().await {
        check(&run, &format!("{place}, {ending:?}"), &undisturbed[usize::from(ending == Ending::Bad)].story);
        let reached = run.hits.get(place).copied().unwrap_or(0);
        assert_eq!(run.died, reached > 0, "{place}, {ending:?}");
        *hits.entry(place).or_default() += reached;
    }
    println!("kills by place: {hits:#?}");
    for place in places() {
        assert!(hits[place] > 0, "nothing came by {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_commit_of_a_whole_rollout_changes_no_story() {
    for ending in [Ending::Good, Ending::Bad] {
        let expected = run(ending, "", "").await.story;
        let place = if ending == Ending::Good { "step_after_commit" } else { "step_before_commit" };
        let runs = futures_util::stream::iter(1..COMMITS_MAX)
            .map(|nth| async move { (nth, run(ending, place, &format!("{place}:kill@{nth}")).await) });
        let mut runs = runs.buffered(AT_ONCE);
        let mut kills = 0;
        while let Some((nth, run)) = runs.next().await {
            check(&run, &format!("{place} {nth}, {ending:?}"), &expected);
            if !run.died {
                break;
            }
            kills += 1;
        }
        println!("{ending:?}: killed at each of {kills} commits");
        assert!(kills >= if ending == Ending::Good { 10 } else { 4 }, "{kills}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_three_times_in_random_order_changes_no_story() {
    for ending in [Ending::Good, Ending::Bad] {
        let expected = run(ending, "", "").await.story;
        check(
            &run(ending, "", "thrice:on").await,
            &format!("nothing, but everything came thrice, {ending:?}"),
            &expected,
        );
    }
}
