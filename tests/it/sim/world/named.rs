//! Faults of the catalogue (RELIABILITY section 6.2) that are a plain story each.

use rollout::WhenLive;
use store::Placed;

use super::World;
use crate::sim::fate::Shared as Fate;
use crate::sim::{Begun, begun, people};

/// The places of processes in a world.
const API: usize = 0;
const SCHEDULER: usize = 1;
const OTHER_SCHEDULER: usize = 2;
const REGISTRY: usize = 3;
/// Whatever else a relay waits for is over then, in milliseconds.
const TWO_SECONDS: i64 = 2_000;
/// Longer than a broker knows an id.
const LONG: i64 = 600_000;

/// A world in which nothing goes wrong by itself, and every relay knows its broker.
async fn quiet(begun: &Begun) -> World {
    let fate = Fate::begin(1);
    fate.fate().is_quiet = true;
    let mut world = World::begin(&begun.slate.store, begun.broker.clone(), fate).await;
    world.look_everywhere().await;
    world
}

impl World {
    async fn look_everywhere(&mut self) {
        for index in 0..self.processes.len() {
            self.look_and_send(index).await;
        }
    }

    /// Looks, and publishes everything that it finds, without a mark: of a rollout one message is on its way at a time.
    async fn look_and_send(&mut self, index: usize) {
        self.set_clock(index);
        self.look(index).await;
        self.send(index).await;
    }

    async fn send(&mut self, index: usize) {
        for _ in 0..10 {
            self.processes[index].relay.hear();
            self.processes[index].relay.send().await;
        }
    }

    fn pass(&mut self, ms: i64) {
        self.set_time(self.now.plus_ms(ms));
        (0..self.processes.len()).for_each(|index| self.set_clock(index));
    }

    /// Asks for a rollout, up to the scheduler's first commit; gives what that said, which nobody has published.
    async fn scheduled(&mut self) -> Vec<Placed> {
        self.promote("2", people::quick(), WhenLive::Reject).await;
        for index in [API, REGISTRY, REGISTRY, SCHEDULER] {
            self.work_off(index).await;
        }
        let said = self.processes[SCHEDULER].handed.take();
        assert!(!said.is_empty());
        said
    }

    /// How often the broker took each of these.
    fn taken(&self, said: &[Placed]) -> Vec<usize> {
        let ids = self.line.broker().ids();
        said.iter().map(|placed| ids.iter().filter(|id| **id == placed.message.message_id).count()).collect()
    }

    async fn comes_through(&mut self) {
        self.rest().await;
        assert_eq!(self.wrong().await, Vec::<String>::new());
        assert_eq!(self.ends().await.get("completed"), Some(&2), "the one that it began with, and this one");
    }
}

/// F1.
#[tokio::test]
async fn what_a_process_committed_before_its_death_is_published_by_another_within_two_seconds() {
    let begun = begun().await;
    let mut world = quiet(&begun).await;
    let said = world.scheduled().await;
    world.die(SCHEDULER, "after its commit").await;
    world.look_and_send(OTHER_SCHEDULER).await;
    assert_eq!(world.taken(&said), vec![0; said.len()], "it is still left to the one that committed it");
    world.pass(TWO_SECONDS);
    world.look_and_send(OTHER_SCHEDULER).await;
    assert_eq!(world.taken(&said), vec![1; said.len()]);
    world.comes_through().await;
}

/// F2.
#[tokio::test]
async fn what_was_published_and_not_marked_is_published_again_and_has_one_effect() {
    for (pause, times) in [(TWO_SECONDS, 1), (LONG, 2)] {
        let begun = begun().await;
        let mut world = quiet(&begun).await;
        let said = world.scheduled().await;
        world.processes[SCHEDULER].relay.take(said.clone());
        world.send(SCHEDULER).await;
        assert_eq!(world.taken(&said), vec![1; said.len()]);
        world.die(SCHEDULER, "before its mark").await;
        world.pass(pause);
        world.look_and_send(OTHER_SCHEDULER).await;
        assert_eq!(world.taken(&said), vec![times; said.len()]);
        world.comes_through().await;
    }
}

/// F14.
#[tokio::test]
async fn what_was_said_while_there_was_no_broker_is_taken_in_its_order() {
    let begun = begun().await;
    let mut world = quiet(&begun).await;
    world.line.broker().stop();
    let mut said = Vec::new();
    for version in 0..1_000 {
        let message = people::version(&format!("{}", 4 + version));
        said.push(world.say(message).await);
    }
    world.pass(LONG);
    world.look(API).await;
    assert!(said.iter().all(|id| !world.line.broker().ids().contains(id)));
    world.line.broker().start(0);
    world.rest().await;
    assert_eq!(world.wrong().await, Vec::<String>::new());
    let ids = world.line.broker().ids();
    let place = |id: &String| ids.iter().position(|taken| taken == id);
    assert!(said.iter().all(|id| place(id).is_some()));
    assert!(said.is_sorted_by_key(place));
}

/// F15.
#[tokio::test]
async fn what_a_broker_has_lost_is_published_again() {
    let begun = begun().await;
    let mut world = quiet(&begun).await;
    world.promote("2", people::quick(), WhenLive::Reject).await;
    world.rest().await;
    world.pass(LONG / 2);
    let mut had = world.line.broker().ids();
    assert!(world.line.broker().start(100) > 10);
    assert!(world.line.broker().ids().len() < had.len());
    world.comes_through().await;
    let mut has = world.line.broker().ids();
    had.sort();
    has.sort();
    assert_eq!(has, had);
}

/// F15, while one service is dead: when it comes back, the others have filled its stream again.
#[tokio::test]
async fn what_a_broker_has_lost_is_published_again_though_others_have_filled_its_place() {
    let begun = begun().await;
    let mut world = quiet(&begun).await;
    world.promote("2", people::quick(), WhenLive::Reject).await;
    for index in [API, REGISTRY, REGISTRY] {
        world.work_off(index).await;
    }
    world.die(REGISTRY, "before the broker does").await;
    assert_eq!(world.line.broker().start(1), 1, "what registry-writer said last, which nobody has read");
    for version in ["4", "5"] {
        world.say(people::version(version)).await;
    }
    world.pass(LONG);
    world.look(API).await;
    world.work_off(API).await;
    world.comes_through().await;
}
