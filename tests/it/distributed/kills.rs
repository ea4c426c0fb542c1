//! `kill -9` of any replica of any service at random moments, of nats-server and PostgreSQL too (F1 to F4, F13, F23): nothing is lost,
//! doubled, early, or forward after a retreat, and each rollout's log is the one that it has without kills.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::plant::Plant;
use super::served;
use crate::checker::{Counted, stories_of};
use crate::house::Upstream;
use crate::kills::{draw, seed_or};
use crate::witness::Witness;

/// Kills in one run, of two; `TIDEGATE_KILLS` says another number.
const KILLS: u64 = 110;
/// So many of a rollout at most, and at least one.
const KILLS_OF_ONE: u64 = 32;
/// One draw of so many kills nats-server, and another one PostgreSQL.
const SERVERS: u64 = 24;

/// How a rollout is meant to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Steps without a judge.
    Quick,
    /// The same, and somebody takes it back.
    TakenBack,
    /// With ticks, verdicts and a ledger, so that kills meet the analyzer too.
    Judged,
    /// The same, and the candidate invents things.
    Breached,
}

impl Kind {
    fn plan(self) -> Value {
        let check = match self {
            Self::Quick | Self::TakenBack => {
                return json!({"name": "quick", "steps": [
                    {"split": 25, "dwell": "1s"}, {"split": 50, "dwell": "1s"}, {"split": 100, "dwell": "0s"}]});
            }
            Self::Judged => "error_rate",
            Self::Breached => "hallucination_rate",
        };
        json!({"name": "judged", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
            "steps": [{"split": 50, "dwell": "5s"}, {"split": 100, "dwell": "0s"}],
            "checks": [{"metric": check, "rules": {"gte": 0.5}, "min_samples": 20, "interval": "5s", "window": "step"}]})
    }

    fn stages(self) -> &'static [&'static str] {
        match self {
            Self::Quick | Self::Judged => &["completed"],
            Self::TakenBack => &["rolled_back", "cancelled"],
            Self::Breached => &["rolled_back"],
        }
    }

    /// The moves of its log, as they are without a kill; none where they depend on the moment of somebody's word.
    fn story(self) -> Option<Vec<&'static str>> {
        let middle: &[&str] = match self {
            Self::TakenBack => return None,
            Self::Quick => &[
                "observing -> shifting step 1 by deadline_passed",
                "shifting -> observing step 1 by split_applied",
                "observing -> shifting step 2 by deadline_passed",
                "shifting -> observing step 2 by split_applied",
                "observing -> promoting step 2 by deadline_passed",
                "promoting -> baking step 2 by split_applied",
                "baking -> completed step 2 by deadline_passed",
            ],
            Self::Judged => &[
                "observing -> shifting step 1 by verdict_reached",
                "shifting -> observing step 1 by split_applied",
                "observing -> promoting step 1 by deadline_passed",
                "promoting -> baking step 1 by split_applied",
                "baking -> completed step 1 by deadline_passed",
            ],
            Self::Breached => &[
                "observing -> retreating step 0 by verdict_reached",
                "retreating -> rolled_back step 0 by split_applied",
            ],
        };
        let front = [
            "none -> preparing step 0 by requested",
            "preparing -> shifting step 0 by workload_ready",
            "shifting -> observing step 0 by split_applied",
        ];
        Some(front.iter().chain(middle).copied().collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_any_replica_at_random_moments_lose_double_and_hasten_nothing() {
    kill_at_random(seed_or(20_261_123), [Kind::Quick, Kind::Judged, Kind::TakenBack]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_any_replica_at_other_moments_lose_double_and_hasten_nothing() {
    kill_at_random(seed_or(20_261_124), [Kind::Breached, Kind::TakenBack, Kind::Quick]).await;
}

/// What was killed.
#[derive(Debug, Default)]
struct Killed {
    services: u64,
    nats: u64,
    postgres: u64,
}

impl Killed {
    /// Kills somebody and starts them again.
    fn one_more(&mut self, plant: &mut Plant, seed: &mut u64) {
        match draw(seed, SERVERS) {
            0 => {
                plant.nats.kill();
                plant.nats.start_again();
                self.nats += 1;
            }
            1 => {
                plant.postgres.crash();
                plant.postgres.start_again();
                self.postgres += 1;
            }
            _ => {
                let count = u64::try_from(plant.processes.len()).unwrap();
                plant.processes[usize::try_from(draw(seed, count)).unwrap()].killed_and_started();
                self.services += 1;
            }
        }
    }

    fn all(&self) -> u64 {
        self.services + self.nats + self.postgres
    }
}

#[expect(clippy::print_stdout, reason = "how much was killed is what the run has to say")]
async fn kill_at_random(mut seed: u64, kinds: [Kind; 3]) {
    let (mut plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let upstreams = served(&plant.house).await;
    let (mut killed, mut rollouts, mut candidate) = (Killed::default(), Vec::new(), 1);
    let users = plant.users(&witness);
    let kills = std::env::var("TIDEGATE_KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(KILLS);
    while killed.all() < kills {
        let kind = kinds[rollouts.len() % kinds.len()];
        let since = Instant::now();
        let id = started(&plant, kind, &upstreams[candidate], candidate).await;
        for kill in 0..=draw(&mut seed, KILLS_OF_ONE) {
            tokio::time::sleep(Duration::from_millis(draw(&mut seed, 300))).await;
            if kind == Kind::TakenBack && kill == 2 {
                plant.say(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
            }
            killed.one_more(&mut plant, &mut seed);
        }
        if kind == Kind::TakenBack {
            plant.say(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
        }
        let ended = plant.house.ended(&id).await;
        let stage = ended["stage"].as_str().unwrap();
        assert!(kind.stages().contains(&stage), "{kind:?} {id} ended {stage}: {ended}");
        println!("{kind:?} {stage} after {:?}, {killed:?}", since.elapsed());
        candidate = if stage == "completed" { 1 - candidate } else { candidate };
        let serving = ["1", "2"][1 - candidate];
        plant
            .house
            .until("/v1/models/reranker", |model| model["active"] == serving && model["rollout"].is_null())
            .await;
        rollouts.push(kind);
    }
    assert_eq!(users.stop().await, 0, "requests that no router answered well");
    plant.until_ready().await;
    let store = plant.store().await;
    let stories: Vec<_> = stories_of(&store).await.into_iter().skip(1).map(|(_, story)| story).collect();
    store.close().await;
    let mut wrong = plant.violations(&witness).await;
    for (kind, story) in rollouts.iter().zip(stories) {
        if kind.story().is_some_and(|expected| expected != story) {
            wrong.push(format!("{kind:?} has another log than without kills: {story:?}"));
        }
    }
    // Five of our kills in a row with one message in hand look as if it had killed us: it is parked, and its intent said again.
    wrong.retain(|what| !(what.starts_with("parked ") && what.contains("kills_us")));
    println!("{} rollouts, {killed:?}: {}", rollouts.len(), Counted::of(&wrong));
    assert_eq!(wrong, Vec::<String>::new());
}

async fn started(plant: &Plant, kind: Kind, upstream: &Upstream, candidate: usize) -> String {
    upstream.observe(&format!("hallucination={}", u8::from(kind == Kind::Breached)));
    plant.promote(["1", "2"][candidate], &json!({ "policy": kind.plan() })).await
}
