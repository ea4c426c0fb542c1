//! One run: processes over one database and one broker, which a seed moves, breaks and lets come to rest.

mod named;
mod rest;
mod trouble;
mod work;

use std::sync::{Arc, Mutex};

use chassis::by_hand::{Handed, Relay, Service, process, relay, service};
use chassis::{Clock, Core, Say, Stamped, Trace, say_now};
use proto::Message;
use rollout::{At, RolloutId, Verb, WhenLive};
use store::Store;

use super::broker::{Broker, Line};
use super::fate::Shared as Fate;
use super::people;
use super::target::{Deployer, Shared, Updater};

/// Turns in which things go wrong.
const TURNS: usize = 200;
/// No clock of ours is further from the database's, in milliseconds: what is more counts as a jump, and is not followed.
const SKEW_MS: usize = 2_000;

/// What runs in a process.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Api,
    StageScheduler,
    RegistryWriter,
    TrafficUpdater,
    Deployer,
}

impl Kind {
    /// Whose messages it publishes.
    const fn says(self) -> &'static [&'static str] {
        match self {
            Self::Api => &["api"],
            Self::StageScheduler => &["stage-scheduler"],
            Self::RegistryWriter => &["registry-writer"],
            Self::TrafficUpdater => &["traffic-updater"],
            Self::Deployer => &["deployer"],
        }
    }
}

/// Two of those that race.
const PROCESSES: [Kind; 7] = [
    Kind::Api,
    Kind::StageScheduler,
    Kind::StageScheduler,
    Kind::RegistryWriter,
    Kind::TrafficUpdater,
    Kind::TrafficUpdater,
    Kind::Deployer,
];

struct Process {
    kind: Kind,
    name: &'static str,
    clock: Clock,
    skew_ms: i64,
    core: Core,
    handed: Handed,
    relay: Relay<Line>,
    service: Option<Box<dyn Service>>,
}

/// One run.
pub(crate) struct World {
    began: At,
    now: At,
    fate: Fate,
    store: Store,
    line: Line,
    outside: Shared,
    processes: Vec<Process>,
    asked: Vec<RolloutId>,
    said: usize,
    /// What happened, a line each.
    pub(crate) story: Vec<String>,
}

impl World {
    /// Processes over a database and a broker.
    pub(crate) async fn begin(store: &Store, broker: Broker, fate: Fate) -> Self {
        let (now, broker) = (broker.now(), Arc::new(Mutex::new(broker)));
        let line = Line { broker, fate: fate.clone() };
        let mut world = Self {
            began: now,
            now,
            fate,
            store: store.clone(),
            line,
            outside: Shared::default(),
            processes: Vec::new(),
            asked: Vec::new(),
            said: 0,
            story: Vec::new(),
        };
        for kind in PROCESSES {
            let process = world.start(kind).await;
            let consumers = process.service.as_ref().map_or(&[][..], |service| service.consumers());
            world.line.broker().add(consumers);
            world.processes.push(process);
        }
        world
    }

    async fn start(&self, kind: Kind) -> Process {
        let skew = if self.fate.is_quiet() { SKEW_MS } else { self.fate.below(2 * SKEW_MS) };
        let skew_ms = i64::try_from(skew).unwrap() - i64::try_from(SKEW_MS).unwrap();
        let clock = Clock::manual(self.now.plus_ms(skew_ms));
        let (core, handed) = process(&self.store, clock.clone()).await.unwrap();
        let outside = Shared::clone(&self.outside);
        let service = match kind {
            Kind::Api => None,
            Kind::StageScheduler => Some(service(&core, stage_scheduler::handler())),
            Kind::RegistryWriter => Some(service(&core, registry_writer::handler(None))),
            Kind::TrafficUpdater => Some(service(&core, Updater(outside))),
            Kind::Deployer => Some(service(&core, Deployer(outside))),
        };
        let name = service.as_ref().map_or("api", |service| service.name());
        let relay = relay(&core, kind.says(), self.line.clone());
        Process { kind, name, clock, skew_ms, core, handed, relay, service }
    }

    /// Says something for people, as the API does.
    pub(crate) async fn say(&mut self, message: Message) -> String {
        self.said += 1;
        let id = format!("cmd.{}.{}", self.fate.fate().seed, self.said);
        self.say_as("api", &id, message).await;
        id
    }

    async fn say_as(&mut self, service: &'static str, id: &str, message: Message) {
        let core = &self.processes[0].core;
        let trace = Trace::from_parent(None);
        let stamped = Stamped { service, at: self.now, trace: &trace };
        let say = Say { id: id.to_owned(), message };
        let said = say_now(&core.bus, core.store.begin().await.unwrap(), &stamped, std::slice::from_ref(&say));
        match self.fate.survives(said).await {
            Some(said) => said.unwrap(),
            None => self.die(0, "at a place").await,
        }
    }

    /// Asks for a rollout.
    pub(crate) async fn promote(&mut self, version: &str, policy: serde_json::Value, when_live: WhenLive) {
        let id = self.say(people::promoted(version, policy, when_live)).await;
        self.tell(|| format!("promote {version} {when_live:?}"));
        self.asked.push(RolloutId::of("/tidegate/api", &id));
    }

    /// A copy of the broker as it stands.
    pub(crate) fn broker(&self) -> Broker {
        self.line.broker().clone()
    }

    /// Lets things go wrong.
    pub(crate) async fn suffer(&mut self) {
        let policy = self.any_policy();
        self.promote("2", policy, WhenLive::Reject).await;
        for _ in 0..TURNS {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        (0..self.processes.len()).for_each(|index| self.set_clock(index));
        let index = self.fate.below(self.processes.len());
        if !self.line.broker().is_up() && self.fate.below(10) == 0 {
            self.start_broker();
        }
        match self.fate.below(100) {
            0..=39 => self.deliver().await,
            40..=64 => self.relay().await,
            65..=69 => self.look(index).await,
            70..=77 => self.fire().await,
            78..=83 => self.pass_time().await,
            84 => self.speak().await,
            85 => self.promote_one_more().await,
            86 | 87 => self.die(index, "idle").await,
            88..=91 => self.bring_again(index),
            92 => self.turn_outside(),
            93 => self.turn_broker(),
            94 => self.turn_clock(index),
            95 => self.turn_rarely().await,
            96 | 97 => self.notice().await,
            _ => self.compare().await,
        }
    }

    /// The time of everything but the clocks of processes, which have their own.
    fn set_time(&mut self, now: At) {
        self.now = now;
        self.line.broker().set_time(now);
    }

    fn set_clock(&mut self, index: usize) {
        let process = &self.processes[index];
        process.clock.move_to(self.now.plus_ms(process.skew_ms));
    }

    /// Some milliseconds, some seconds, or until something is due.
    async fn pass_time(&mut self) {
        let ms = match self.fate.below(10) {
            0..=5 => self.fate.below(300),
            6..=8 => self.fate.below(3_000),
            _ => self.fate.below(30_000),
        };
        self.set_time(self.now.plus_ms(i64::try_from(ms).unwrap()));
    }

    async fn speak(&mut self) {
        let asked = self.asked.len();
        let rollout = self.asked[self.fate.below(asked)].clone();
        let Some(verb) = self.fate.one(Verb::ALL) else { return };
        self.tell(|| format!("{verb:?} {rollout}"));
        self.say(people::commanded(rollout, verb)).await;
    }

    async fn promote_one_more(&mut self) {
        if self.asked.len() < 5 {
            let when_live = [WhenLive::Reject, WhenLive::Queue, WhenLive::Supersede][self.fate.below(3)];
            let version = ["2", "3"][self.fate.below(2)];
            let policy = self.any_policy();
            self.promote(version, policy, when_live).await;
        }
    }

    fn any_policy(&self) -> serde_json::Value {
        if self.fate.below(2) == 0 { people::stepwise() } else { people::quick() }
    }

    /// The updater's own look at what is wished for, without a message.
    async fn compare(&mut self) {
        let wishes = self.store.reader().await.unwrap().rows().routes().await.unwrap();
        wishes.iter().for_each(|wish| self.outside.lock().unwrap().compare(wish));
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        let at = self.now.ms_since(self.began);
        self.story.push(format!("{at:>9} {}", what()));
    }
}
