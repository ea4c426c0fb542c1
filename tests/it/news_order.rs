//! registry-writer follows rollouts, whatever order their news come in.

use chassis::by_hand::{Brought, Service, process, service};
use chassis::{Clock, Core};
use proto::{Message, RolloutMoved, Stamp};
use rollout::{At, RolloutId, Stage, Version};
use servers::Postgres;
use store::Store;
use tempfile::TempDir;

use crate::sim::people;

const NOW: At = At(1_800_000_000_000);

/// A registry with three versions, of which the first is active.
struct Registry {
    core: Core,
    writer: Box<dyn Service>,
    told: usize,
    _folder: TempDir,
}

impl Registry {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        Self::on(&store, folder).await
    }

    async fn on(store: &Store, folder: TempDir) -> Self {
        let (core, _) = process(store, Clock::manual(NOW)).await.unwrap();
        let writer = service(&core, registry_writer::handler(None));
        let mut registry = Self { core, writer, told: 0, _folder: folder };
        registry.hears(people::registered()).await;
        for version in ["1", "2", "3"] {
            registry.hears(people::version(version)).await;
        }
        registry.hears(moved(("r1", "1", None), 1, Stage::Completed)).await;
        assert_eq!(registry.tells().await, ["1 active", "2 published", "3 published"]);
        registry
    }

    async fn hears(&mut self, message: Message) {
        let brought = self.brought(&message);
        self.writer.take(brought).await.unwrap();
    }

    /// Two replicas hear of two things at once.
    async fn hears_at_once(&mut self, one: Message, other: Message) {
        let brought = (self.brought(&one), self.brought(&other));
        let replica = service(&self.core, registry_writer::handler(None));
        let (one, other) = tokio::join!(self.writer.take(brought.0), replica.take(brought.1));
        one.and(other).unwrap();
    }

    fn brought(&mut self, message: &Message) -> Brought {
        self.told += 1;
        let (id, source) = (format!("told.{}", self.told), "/tidegate/tests".to_owned());
        let body = message.event(&Stamp { id, source, at: NOW, traceparent: None }).to_json();
        Brought { subject: message.subject().to_string(), body, said_at: NOW, deliveries: 1 }
    }

    async fn tells(&self) -> Vec<String> {
        let mut reader = self.core.store.reader().await.unwrap();
        let parked = reader.rows().parked((At(i64::MAX), ""), 10).await.unwrap();
        assert!(parked.is_empty(), "{parked:?}");
        let (tenant, model) = (people::tenant(), people::model());
        let versions = reader.rows().versions(&tenant, &model, (At(i64::MAX), ""), 10).await.unwrap();
        let mut told: Vec<_> = versions.iter().map(|row| format!("{} {}", row.version, row.status)).collect();
        told.sort();
        told
    }
}

/// News of a rollout from one version to the next, whose last split has `generation`.
fn moved((rollout, candidate, previous): (&str, &str, Option<&str>), generation: i64, to: Stage) -> Message {
    Message::RolloutMoved(RolloutMoved {
        tenant: people::tenant(),
        model: people::model(),
        rollout_id: RolloutId::of("/tidegate/tests", rollout),
        version: 1,
        generation,
        from: None,
        to,
        step: 0,
        candidate: Version::new(candidate).unwrap(),
        previous: previous.map(|version| Version::new(version).unwrap()),
        split_bp: if matches!(to, Stage::Baking | Stage::Completed) { 10_000 } else { 2_500 },
        split_applied: true,
        reason: None,
        actor: "local".to_owned(),
        evidence: None,
        at: NOW,
    })
}

const SECOND: (&str, &str, Option<&str>) = ("r2", "2", Some("1"));
const THIRD: (&str, &str, Option<&str>) = ("r3", "3", Some("1"));
const THIRD_AFTER_SECOND: (&str, &str, Option<&str>) = ("r3", "3", Some("2"));

#[tokio::test]
async fn a_trial_that_is_heard_of_behind_its_end_is_over() {
    let mut registry = Registry::begin().await;
    registry.hears(moved(SECOND, 3, Stage::Completed)).await;
    registry.hears(moved(SECOND, 3, Stage::Baking)).await;
    assert_eq!(registry.tells().await, ["1 retired", "2 active", "3 published"]);
}

#[tokio::test]
async fn an_end_that_is_heard_of_behind_the_next_trial_ends_its_own() {
    let mut registry = Registry::begin().await;
    registry.hears(moved(SECOND, 2, Stage::Observing)).await;
    registry.hears(moved(THIRD, 4, Stage::Observing)).await;
    registry.hears(moved(SECOND, 3, Stage::RolledBack)).await;
    assert_eq!(registry.tells().await, ["1 active", "2 turned_back", "3 canary"]);
}

#[tokio::test]
async fn an_end_that_is_heard_of_behind_the_next_trial_of_its_version_ends_nothing() {
    let mut registry = Registry::begin().await;
    registry.hears(moved(SECOND, 2, Stage::Observing)).await;
    registry.hears(moved(SECOND, 3, Stage::RolledBack)).await;
    registry.hears(moved(("r4", "2", Some("1")), 5, Stage::Observing)).await;
    registry.hears(moved(SECOND, 3, Stage::Cancelled)).await;
    assert_eq!(registry.tells().await, ["1 active", "2 canary", "3 published"]);
}

#[tokio::test]
async fn one_version_is_active_though_the_end_that_made_it_so_is_heard_of_last() {
    let mut registry = Registry::begin().await;
    registry.hears(moved(SECOND, 3, Stage::Baking)).await;
    registry.hears(moved(THIRD_AFTER_SECOND, 4, Stage::Observing)).await;
    registry.hears(moved(SECOND, 3, Stage::Completed)).await;
    assert_eq!(registry.tells().await, ["1 retired", "2 active", "3 canary"]);
}

#[tokio::test]
async fn two_replicas_that_hear_of_an_end_and_of_the_trial_before_it_at_once_agree() {
    let server = Postgres::start();
    let mut registry = Registry::on(&server.store().await, tempfile::tempdir().unwrap()).await;
    let versions = ["1", "2"];
    for round in 1..=100 {
        let (candidate, previous) = (versions[round % 2], versions[(round + 1) % 2]);
        let (name, generation) = (format!("round {round}"), i64::try_from(round).unwrap() * 2);
        let news = |to, generation| moved((&name, candidate, Some(previous)), generation, to);
        registry.hears(news(Stage::Observing, generation)).await;
        registry.hears_at_once(news(Stage::Completed, generation + 1), news(Stage::Baking, generation + 1)).await;
        let mut expected = [format!("{candidate} active"), format!("{previous} retired"), "3 published".to_owned()];
        expected.sort();
        assert_eq!(registry.tells().await, expected, "{name}");
    }
}
