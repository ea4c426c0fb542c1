//! The contract of the bus: what a service may rely on between the commit that says a message and the commit that settles it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::chassis::{
    Bus, Cause, Clock, Commit, Connection, Consumer, Core, Failure, Handler, Incoming, JetStream, Metrics, Say, Size,
    Stamped, Trace, Wanted, say_now, serve_handler,
};
use proto::{Message, RolloutCommand};
use rollout::{At, Model, RolloutId, Tenant, Verb};
use store::{Outgoing, Parked, Rows, Store};
use tokio::sync::Semaphore;

use crate::nats::Nats;

mod arms;
mod buckets;
mod delivering;
mod filters;
mod handling;
mod parking;
mod replaying;
mod server;
mod shared;
mod stopping;

const NOON: At = At(1_800_000_000_000);
/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What the contract holds for: the forms of the bus mean the same.
#[derive(Clone)]
enum Form {
    /// Within a process.
    InProcess,
    /// On the server at this address.
    Server(String),
}

impl Form {
    /// A server does not stand still, so neither does the time of its processes.
    fn clock(&self) -> Clock {
        match self {
            Self::InProcess => Clock::manual(NOON),
            Self::Server(_) => Clock::system(),
        }
    }

    async fn core(&self, store: Store, clock: Clock) -> Core {
        let Self::Server(url) = self else { return Core::start(store, clock).await.unwrap() };
        let metrics = Metrics::default();
        let connection = Connection::open(&url.parse().unwrap(), "tests", &metrics).await.unwrap();
        let values = JetStream::open(&connection, (&[], false), &metrics);
        let bus = Bus::jet_stream(values, SAYERS, (&store, &clock), &metrics);
        Core::start_on(bus, store, clock, metrics)
    }
}

/// Runs `test` on every form of the bus.
async fn each_form(test: impl AsyncFn(Form)) {
    test(Form::InProcess).await;
    let (_nats, form) = on_a_server().await;
    test(form).await;
}

/// A server with the streams of tidegate and the consumers of all clerks.
async fn on_a_server() -> (Nats, Form) {
    let nats = Nats::start();
    let wanted = Wanted { size: Size::Small, replicas: 1, besides: CONSUMERS };
    ::chassis::init(&nats.url().parse().unwrap(), wanted).await.unwrap();
    let form = Form::Server(nats.url());
    (nats, form)
}

/// Services that say something.
const SAYERS: &[&str] = &["api", "hears-all", "hears-commands"];
/// What a consumer waits for a sign of life, where a test waits for that.
const AGAIN_SOON: Duration = Duration::from_secs(1);
const CONSUMERS: &[Consumer] = &[
    Consumer::new("all", &["tg.cmd.>"]),
    Consumer::new("commands", &["tg.cmd.*.*.rollout.*"]),
    Consumer::new("stops", &["tg.cmd.*.m.rollout.stop", "tg.cmd.*.m.rollout.resume"]),
    Consumer::new("elsewhere", &["tg.obs.>"]),
    Consumer::new("again-soon", &["tg.cmd.>"]).waiting(AGAIN_SOON),
    Consumer::new("few", &["tg.cmd.>"]).holding(2),
    Consumer::new("impatient", &["tg.cmd.>"]).patient(Duration::ZERO),
];

/// What a clerk makes of a message; the number counts its messages, repeats included, from 1.
type Answer = Box<dyn Fn(&Incoming, usize) -> Result<Commit, Failure> + Send + Sync>;

/// A service that remembers what it heard. There are some, each with its own subjects.
struct Clerk<const NUMBER: usize> {
    begun: Mutex<Vec<String>>,
    heard: Mutex<Vec<String>>,
    /// Whoever is to be handled has to come through here first.
    gate: Semaphore,
    answer: Answer,
}

const HEARS_ALL: usize = 0;
const HEARS_COMMANDS: usize = 1;
const HEARS_STOPS: usize = 2;
const HEARS_MANY_AT_ONCE: usize = 3;
/// These two go by the name of the first, but what it takes is not theirs.
const HEARS_ELSEWHERE: usize = 4;
const HEARS_NOTHING: usize = 5;
const HEARS_AGAIN_SOON: usize = 6;
const HEARS_FEW: usize = 7;
const HEARS_IMPATIENTLY: usize = 8;

impl<const NUMBER: usize> Clerk<NUMBER> {
    fn new(answer: impl Fn(&Incoming, usize) -> Result<Commit, Failure> + Send + Sync + 'static) -> Arc<Self> {
        Self::behind(Semaphore::MAX_PERMITS, answer)
    }

    fn behind(
        permits: usize,
        answer: impl Fn(&Incoming, usize) -> Result<Commit, Failure> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let gate = Semaphore::new(permits);
        Arc::new(Self { begun: Mutex::default(), heard: Mutex::default(), gate, answer: Box::new(answer) })
    }

    /// A clerk with whom messages are in hand until it opens.
    fn shut() -> Arc<Self> {
        Self::behind(0, |_, _| Ok(Commit::applied()))
    }

    fn open(&self) {
        self.gate.add_permits(1_000);
    }

    /// What it has in hand, or had.
    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }

    async fn begins(&self, count: usize) {
        eventually(&format!("{} begins with {count} messages", Self::NAME), async || self.begun().len() >= count).await;
    }

    fn content() -> Arc<Self> {
        Self::new(|_, _| Ok(Commit::applied()))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    async fn hears(&self, count: usize) {
        eventually(&format!("{} hears {count} messages", Self::NAME), async || self.heard().len() >= count).await;
    }
}

impl<const NUMBER: usize> Handler for Clerk<NUMBER> {
    const NAME: &'static str = [
        "hears-all",
        "hears-commands",
        "hears-stops",
        "hears-many-at-once",
        "hears-all",
        "hears-all",
        "hears-again-soon",
        "hears-few",
        "hears-impatiently",
    ][NUMBER];
    const CONSUMERS: &'static [Consumer] = match NUMBER {
        HEARS_COMMANDS => &[CONSUMERS[1]],
        HEARS_STOPS => &[CONSUMERS[2]],
        HEARS_ELSEWHERE => &[CONSUMERS[3]],
        HEARS_NOTHING => &[],
        HEARS_AGAIN_SOON => &[CONSUMERS[4]],
        HEARS_FEW => &[CONSUMERS[5]],
        HEARS_IMPATIENTLY => &[CONSUMERS[6]],
        _ => &[CONSUMERS[0]],
    };
    const PARALLEL: usize = if NUMBER == HEARS_MANY_AT_ONCE || NUMBER == HEARS_FEW { 8 } else { 1 };
    type Seen = ();

    async fn act(&self, _: &Store, cause: &Cause, _: At) -> Result<(), Failure> {
        let Cause::Message(incoming) = cause else { return Ok(()) };
        self.begun.lock().unwrap().push(incoming.id.clone());
        let _through = self.gate.acquire().await.unwrap();
        Ok(())
    }

    async fn handle(&self, _: Rows<'_>, cause: &Cause, (): &(), _: At) -> Result<Commit, Failure> {
        let Cause::Message(incoming) = cause else { return Ok(Commit::applied()) };
        let count = {
            let mut heard = self.heard.lock().unwrap();
            heard.push(incoming.id.clone());
            heard.len()
        };
        (self.answer)(incoming, count)
    }
}

/// A process: its folder outlives it.
struct Process {
    form: Form,
    folder: Arc<tempfile::TempDir>,
    core: Core,
}

impl Process {
    /// One with the bus in itself.
    async fn start() -> Self {
        Self::on(&Form::InProcess).await
    }

    async fn on(form: &Form) -> Self {
        Self::start_in(form.clone(), Arc::new(tempfile::tempdir().unwrap()), form.clock()).await
    }

    /// A process that died lets go of its folder soon.
    async fn start_in(form: Form, folder: Arc<tempfile::TempDir>, clock: Clock) -> Self {
        let opening = async {
            loop {
                match Store::open(folder.path()).await {
                    Ok(store) => return store,
                    Err(store::Error::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let store = tokio::time::timeout(LIMIT, opening).await.expect("the folder is free");
        Self { core: form.core(store, clock).await, form, folder }
    }

    async fn stop(self) -> Arc<tempfile::TempDir> {
        assert!(self.core.stop().await, "the process stops in time");
        self.folder
    }

    async fn restart(self) -> Self {
        let (form, clock) = (self.form.clone(), self.core.clock.clone());
        Self::start_in(form, self.stop().await, clock).await
    }

    async fn say(&self, ids: &[&str]) {
        let says: Vec<_> = ids.iter().map(|id| Say { id: (*id).to_owned(), message: stop_of("m") }).collect();
        say_all(&self.core, &says).await;
    }

    /// Rows that no stream has yet.
    async fn waiting(&self) -> i64 {
        let (mut reader, mut waiting) = (self.core.store.reader().await.unwrap(), 0);
        for service in SAYERS {
            waiting += reader.rows().unpublished(service, 1_000).await.unwrap().0;
        }
        waiting
    }

    async fn publishes_all(&self) {
        eventually("everything is published", async || self.waiting().await == 0).await;
    }

    async fn is_settled(&self, service: &str, id: &str) -> bool {
        self.core.store.reader().await.unwrap().rows().is_settled(service, "/tidegate/api", id).await.unwrap()
    }

    async fn settles<const NUMBER: usize>(&self, id: &str) {
        let service = Clerk::<NUMBER>::NAME;
        eventually(&format!("{service} settles {id}"), async || self.is_settled(service, id).await).await;
    }

    async fn parked(&self) -> Vec<Parked> {
        self.core.store.reader().await.unwrap().rows().parked((At(i64::MAX), ""), 100).await.unwrap()
    }
}

async fn say_all(core: &Core, says: &[Say]) {
    let trace = Trace::from_parent(None);
    let stamped = Stamped { service: "api", at: core.clock.now(), trace: &trace };
    say_now(&core.bus, core.store.begin().await.unwrap(), &stamped, says).await.unwrap();
}

/// Puts rows into the stream as a broken or a newer release would, without a word to anybody.
async fn slip_in(process: &Process, messages: &[Outgoing]) {
    let mut tx = process.core.store.begin().await.unwrap();
    for message in messages {
        match process.form {
            Form::InProcess => tx.say(std::slice::from_ref(message)).await.unwrap(),
            Form::Server(_) => tx.say_to_relay(std::slice::from_ref(message), At(0)).await.unwrap(),
        };
    }
    tx.commit().await.unwrap();
    // What is said after it comes after it.
    process.publishes_all().await;
}

fn command(of: &str, verb: Verb) -> RolloutCommand {
    RolloutCommand {
        tenant: Tenant::default_tenant(),
        model: Model::new(of).unwrap(),
        rollout_id: RolloutId::of("/test", of),
        verb,
        owner: "ann".to_owned(),
        actor: None,
        reason: None,
        if_version: None,
    }
}

fn stop_of(model: &str) -> Message {
    Message::RolloutStop(command(model, Verb::Rollback))
}

/// A well formed message, to be spoiled.
fn outgoing(id: &str) -> Outgoing {
    let stamp = proto::Stamp { id: id.to_owned(), source: "/tidegate/api".to_owned(), at: NOON, traceparent: None };
    let message = stop_of("m");
    Outgoing {
        service: "api",
        message_id: id.to_owned(),
        rollout_id: None,
        subject: message.subject().to_string(),
        headers: "{}".to_owned(),
        body: message.event(&stamp).to_json(),
        created_at: NOON,
    }
}

/// Waits until `holds`; looks again often, because not everything that is waited for is a commit.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "in vain: {what}");
}
