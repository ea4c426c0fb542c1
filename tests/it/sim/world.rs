//! One run: processes over one database and one broker, which a seed moves, breaks and lets come to rest.

use std::path::Path;

use chassis::by_hand::{Handed, Service, process, service};
use chassis::{Clock, Consumer, Core, Say, Stamped, Trace, say_now};
use proto::Message;
use rollout::{At, RolloutId, Verb, WhenLive};
use store::{Due, Placed, Store, VersionRow};
use tempfile::TempDir;

use super::broker::Broker;
use super::fate::Shared as Fate;
use super::people;
use super::target::{Deployer, Shared, Updater};

/// When it all begins.
const BEGIN: At = At(1_800_000_000_000);
/// A claim on rows of the outbox is worth this long, in milliseconds.
const CLAIMED_FOR_MS: i64 = 5_000;
/// Turns in which things go wrong.
const TURNS: usize = 150;
/// Turns until everything rests, if it ever does.
const REST_MAX: usize = 20_000;
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
    service: Option<Box<dyn Service>>,
}

/// One run.
pub(crate) struct World {
    now: At,
    fate: Fate,
    store: Store,
    broker: Broker,
    outside: Shared,
    processes: Vec<Process>,
    asked: Vec<RolloutId>,
    said: usize,
    /// What happened, a line each.
    pub(crate) story: Vec<String>,
}

impl World {
    /// A model with a version that serves, and two more, over the database in `folder`.
    pub(crate) async fn begin(folder: &Path, fate: Fate) -> Self {
        let store = Store::open(folder).await.unwrap();
        let mut world = Self {
            now: BEGIN,
            fate,
            store,
            broker: Broker::default(),
            outside: Shared::default(),
            processes: Vec::new(),
            asked: Vec::new(),
            said: 0,
            story: Vec::new(),
        };
        for kind in PROCESSES {
            let process = world.start(kind).await;
            if let Some(service) = process.service.as_ref().filter(|service| !world.has(service.name())) {
                world.broker.add(service.consumers());
            }
            world.processes.push(process);
        }
        world
    }

    fn has(&self, name: &str) -> bool {
        self.processes.iter().any(|process| process.name == name)
    }

    async fn start(&self, kind: Kind) -> Process {
        let skew_ms = i64::try_from(self.fate.below(2 * SKEW_MS)).unwrap() - i64::try_from(SKEW_MS).unwrap();
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
        Process { kind, name, clock, skew_ms, core, handed, service }
    }

    /// Says something for people, as the API does.
    pub(crate) async fn say(&mut self, message: Message) -> String {
        self.said += 1;
        let id = format!("cmd.{}.{}", self.fate.fate.borrow().seed, self.said);
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
        match self.fate.below(100) {
            0..=49 => self.deliver().await,
            50..=69 => self.relay().await,
            70..=74 => self.sweep(index).await,
            75..=81 => self.fire().await,
            82..=87 => self.pass_time().await,
            88 => self.speak().await,
            89 => self.promote_one_more().await,
            90 => self.die(index, "idle").await,
            91..=94 => self.bring_again(index),
            95 => self.turn_outside(),
            96 | 97 => self.notice().await,
            _ => self.compare().await,
        }
    }

    fn set_clock(&mut self, index: usize) {
        let process = &self.processes[index];
        process.clock.move_to(self.now.plus_ms(process.skew_ms));
    }

    /// Any message that somebody can have, to any of those who can take it.
    async fn deliver(&mut self) {
        let mut ready = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            for consumer in process.service.iter().flat_map(|service| service.consumers()) {
                ready.extend(self.broker.ready(consumer, self.now).into_iter().map(|place| (index, consumer, place)));
            }
        }
        match self.fate.one(&ready) {
            Some((index, consumer, place)) => self.deliver_one(index, consumer, place).await,
            None => self.pass_time().await,
        }
    }

    async fn deliver_one(&mut self, index: usize, consumer: &'static Consumer, place: usize) {
        let Some(service) = &self.processes[index].service else { return };
        let brought = self.broker.bring(consumer, place, self.now);
        let took = self.fate.survives(service.take(brought)).await;
        let name = self.processes[index].name;
        let id = self.broker.id(place).to_owned();
        self.tell(|| format!("{name} takes {id}: {}", outcome(&took)));
        match took {
            None => self.die(index, "at a place").await,
            Some(Ok(())) if self.fate.loses("acknowledgement lost") => {}
            Some(Ok(())) => self.broker.settled(consumer, place),
            Some(Err(_)) => self.broker.again(consumer, place, self.now.plus_ms(100)),
        }
    }

    /// Publishes what some process was handed by its own commits.
    async fn relay(&mut self) {
        let full: Vec<_> =
            (0..self.processes.len()).filter(|index| !self.processes[*index].handed.is_empty()).collect();
        let Some(index) = self.fate.one(&full) else { return };
        let handed = self.processes[index].handed.take();
        if self.fate.happens(50, "handed over and forgotten") {
            return;
        }
        self.publish(index, handed).await;
    }

    /// Publishes what nobody has published yet.
    async fn sweep(&mut self, index: usize) {
        let name = self.processes[index].name;
        let until = self.now.plus_ms(CLAIMED_FOR_MS);
        let claimed = self.store.claim(name, (self.now, until), 256).await.unwrap();
        self.publish(index, claimed).await;
    }

    async fn publish(&mut self, index: usize, messages: Vec<Placed>) {
        let (mut published, mut postponed) = (Vec::new(), Vec::new());
        for placed in messages {
            if self.fate.loses("publication lost") {
                postponed.push((placed.position, self.now.plus_ms(50)));
                continue;
            }
            let place = self.broker.publish(&placed.message, self.now);
            if self.fate.loses("answer to a publication lost") {
                postponed.push((placed.position, self.now.plus_ms(50)));
            } else {
                published.push((placed.position, Some(place)));
            }
        }
        if self.fate.happens(20, "death between publication and its mark") {
            return self.die(index, "before a mark").await;
        }
        if !postponed.is_empty() {
            self.store.postpone(&postponed).await.unwrap();
        }
        if !published.is_empty() {
            let mut tx = self.store.begin().await.unwrap();
            tx.published(&published, self.now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Any deadline that somebody sees as passed.
    async fn fire(&mut self) {
        let mut all = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            if let Some(service) = &process.service {
                all.extend(service.due().await.unwrap().into_iter().map(|due| (index, due)));
            }
        }
        let chosen = self.fate.below(all.len().max(1));
        if let Some((index, due)) = all.into_iter().nth(chosen) {
            self.fire_one(index, due).await;
        }
    }

    async fn fire_one(&mut self, index: usize, due: Due) {
        let Some(service) = &self.processes[index].service else { return };
        let (name, what) = (self.processes[index].name, format!("{} {}", due.rollout_id, due.version));
        let fired = self.fate.survives(service.fire(due)).await;
        self.tell(|| format!("{name} fires {what}: {}", outcome(&fired)));
        if fired.is_none() {
            self.die(index, "at a place").await;
        }
    }

    /// Some milliseconds, some seconds, or until something is due.
    async fn pass_time(&mut self) {
        let ms = match self.fate.below(10) {
            0..=5 => self.fate.below(300),
            6..=8 => self.fate.below(3_000),
            _ => self.fate.below(30_000),
        };
        self.now = self.now.plus_ms(i64::try_from(ms).unwrap());
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

    /// The end of a process, and the start of its successor.
    async fn die(&mut self, index: usize, how: &'static str) {
        let name = self.processes[index].name;
        self.tell(|| format!("{name} dies {how}"));
        if how == "idle" {
            self.fate.happens(1_000, "death between operations");
        }
        self.processes[index] = self.start(self.processes[index].kind).await;
    }

    fn bring_again(&mut self, index: usize) {
        let Some(service) = &self.processes[index].service else { return };
        let Some(consumer) = self.fate.one(&service.consumers().iter().collect::<Vec<_>>()) else { return };
        if let Some(place) = self.fate.one(&self.broker.offered(consumer)) {
            self.fate.happens(1_000, "brought again");
            self.broker.forget(consumer, place, self.now);
        }
    }

    fn turn_outside(&mut self) {
        let (is_down, is_sick) = (self.fate.happens(300, "target down"), self.fate.happens(300, "candidate sick"));
        let mut outside = self.outside.lock().unwrap();
        (outside.is_down, outside.is_sick) = (is_down, is_sick);
    }

    async fn notice(&mut self) {
        let route = self.outside.lock().unwrap().route.clone();
        let Some(route) = route.filter(|route| route.rollout_id.is_some()) else { return };
        let is_expired = self.fate.below(2) == 0;
        self.said += 1;
        let id = format!("tu.one.{}.{}.{}", route.generation, if is_expired { "lease" } else { "drift" }, self.said);
        self.fate.happens(1_000, if is_expired { "lease ended" } else { "target lagging" });
        self.say_as("traffic-updater", &id, people::noticed(&route, is_expired)).await;
    }

    /// The updater's own look at what is wished for, without a message.
    async fn compare(&mut self) {
        let wishes = self.store.reader().await.unwrap().rows().routes().await.unwrap();
        wishes.iter().for_each(|wish| self.outside.lock().unwrap().compare(wish));
    }

    /// Lets nothing go wrong any more, and waits until nothing is left to do.
    pub(crate) async fn rest(&mut self) {
        self.fate.fate.borrow_mut().is_quiet = true;
        {
            let mut outside = self.outside.lock().unwrap();
            (outside.is_down, outside.is_sick) = (false, false);
        }
        for _ in 0..REST_MAX {
            let mut has_worked = false;
            for index in 0..self.processes.len() {
                self.set_clock(index);
                has_worked |= self.work_off(index).await;
            }
            if !has_worked && !self.wait().await {
                return self.compare().await;
            }
        }
        panic!("it does not come to rest");
    }

    /// Everything that a process can do now.
    async fn work_off(&mut self, index: usize) -> bool {
        let handed = self.processes[index].handed.take();
        let mut has_worked = !handed.is_empty();
        if has_worked {
            self.publish(index, handed).await;
        }
        let Some(service) = &self.processes[index].service else { return has_worked };
        let due = service.due().await.unwrap();
        for consumer in service.consumers() {
            for place in self.broker.ready(consumer, self.now) {
                self.deliver_one(index, consumer, place).await;
                has_worked = true;
            }
        }
        for due in due {
            self.fire_one(index, due).await;
        }
        has_worked
    }

    /// Lets the time pass until something can be done; `false` when nothing ever can.
    async fn wait(&mut self) -> bool {
        let mut reader = self.store.reader().await.unwrap();
        let deadline = reader.rows().due_rollouts(At(i64::MAX), 100).await.unwrap();
        let (mut waiting, skew) = (0, i64::try_from(SKEW_MS).unwrap());
        for service in ["api", "registry-writer", "stage-scheduler", "traffic-updater", "deployer"] {
            waiting += reader.rows().unpublished(service, 1_000).await.unwrap().0;
        }
        drop(reader);
        if waiting > 0 {
            self.now = self.now.plus_ms(CLAIMED_FOR_MS + 1);
            for index in 0..self.processes.len() {
                self.sweep(index).await;
            }
            return true;
        }
        // A process whose clock is behind sees a deadline pass later.
        let deadline = deadline.into_iter().map(|due| due.wake_at.plus_ms(skew)).min();
        let Some(next) = deadline.into_iter().chain(self.broker.next()).min() else { return false };
        self.now = self.now.plus_ms(1).max(next);
        true
    }

    /// What is wrong outside, now that everything rests. Ends the run.
    pub(crate) async fn end(self) -> Vec<String> {
        let mut wrong = std::mem::take(&mut self.outside.lock().unwrap().wrong);
        let wished =
            self.store.reader().await.unwrap().rows().route(&people::tenant(), &people::model()).await.unwrap();
        let served = self.outside.lock().unwrap().route.clone();
        if wished != served {
            wrong.push(format!("the target serves {served:?}, and {wished:?} is wished for"));
        }
        wrong.extend(self.unregistered().await);
        drop(self.processes);
        self.store.close().await;
        wrong
    }

    /// What the registry tells otherwise than the route: it follows, whatever order the news come in.
    async fn unregistered(&self) -> Vec<String> {
        let (tenant, model) = (people::tenant(), people::model());
        let mut reader = self.store.reader().await.unwrap();
        let Some(route) = reader.rows().route(&tenant, &model).await.unwrap() else { return Vec::new() };
        let versions = reader.rows().versions(&tenant, &model, (At(i64::MAX), ""), 100).await.unwrap();
        let is_told = |version: &&VersionRow| {
            let serves = route.arms.iter().any(|arm| arm.version == version.version);
            serves == (version.status == "active") && version.status != "canary"
        };
        let wrong = versions.iter().filter(|version| !is_told(version));
        wrong.map(|row| format!("version {} is {} at {} %", row.version, row.status, row.traffic_pct)).collect()
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        let at = self.now.ms_since(BEGIN);
        self.story.push(format!("{at:>9} {}", what()));
    }
}

fn outcome<T, E: std::fmt::Display>(of: &Option<Result<T, E>>) -> String {
    match of {
        None => "died".to_owned(),
        Some(Ok(_)) => "done".to_owned(),
        Some(Err(why)) => why.to_string(),
    }
}

/// A folder with a copy of a database in which version 1 serves, made once for each test.
pub(crate) fn copy_of(begun: &TempDir) -> TempDir {
    let folder = tempfile::tempdir_in(shared_memory()).unwrap();
    std::fs::copy(begun.path().join("tidegate.db"), folder.path().join("tidegate.db")).unwrap();
    folder
}

/// A place without a disk, where there is one: nothing here is about power cuts.
pub(crate) fn shared_memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}
