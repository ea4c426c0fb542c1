//! The contract of the bus: what a service may rely on between the commit that says a message and the commit that settles it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::chassis::{
    Bus, Cause, Clock, Commit, Consumer, Core, Failure, Handler, Incoming, Say, Stamped, Trace, say_now, serve_handler,
};
use proto::{Message, RolloutCommand};
use rollout::{At, Model, RolloutId, Tenant, Verb};
use store::{Outgoing, Parked, Rows, Store};

mod arms;
mod buckets;
mod filters;
mod handling;
mod parking;
mod replaying;
mod shared;
mod stopping;

const NOON: At = At(1_800_000_000_000);
/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What a clerk makes of a message; the number counts its messages, repeats included, from 1.
type Answer = Box<dyn Fn(&Incoming, usize) -> Result<Commit, Failure> + Send + Sync>;

/// A service that remembers what it heard. There are some, each with its own subjects.
struct Clerk<const NUMBER: usize> {
    heard: Mutex<Vec<String>>,
    answer: Answer,
}

const HEARS_ALL: usize = 0;
const HEARS_COMMANDS: usize = 1;
const HEARS_STOPS: usize = 2;
const HEARS_MANY_AT_ONCE: usize = 3;
/// These two go by the name of the first, but what it takes is not theirs.
const HEARS_ELSEWHERE: usize = 4;
const HEARS_NOTHING: usize = 5;

impl<const NUMBER: usize> Clerk<NUMBER> {
    fn new(answer: impl Fn(&Incoming, usize) -> Result<Commit, Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { heard: Mutex::default(), answer: Box::new(answer) })
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
    const NAME: &'static str =
        ["hears-all", "hears-commands", "hears-stops", "hears-many-at-once", "hears-all", "hears-all"][NUMBER];
    const CONSUMERS: &'static [Consumer] = match NUMBER {
        HEARS_COMMANDS => &[Consumer::new("commands", &["tg.cmd.*.*.rollout.*"])],
        HEARS_STOPS => &[Consumer::new("stops", &["tg.cmd.*.m.rollout.stop", "tg.cmd.*.m.rollout.resume"])],
        HEARS_ELSEWHERE => &[Consumer::new("elsewhere", &["tg.obs.>"])],
        HEARS_NOTHING => &[],
        _ => &[Consumer::new("all", &["tg.cmd.>"])],
    };
    const PARALLEL: usize = if NUMBER == HEARS_MANY_AT_ONCE { 8 } else { 1 };
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
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
    folder: Arc<tempfile::TempDir>,
    core: Core,
}

impl Process {
    async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), Clock::manual(NOON)).await
    }

    async fn start_in(folder: Arc<tempfile::TempDir>, clock: Clock) -> Self {
        let store = Store::open(folder.path()).await.unwrap();
        Self { core: Core::start(store, clock).await.unwrap(), folder }
    }

    async fn stop(self) -> Arc<tempfile::TempDir> {
        assert!(self.core.stop().await, "the process stops in time");
        self.folder
    }

    async fn restart(self) -> Self {
        let clock = self.core.clock.clone();
        Self::start_in(self.stop().await, clock).await
    }

    async fn say(&self, ids: &[&str]) {
        let says: Vec<_> = ids.iter().map(|id| Say { id: (*id).to_owned(), message: stop_of("m") }).collect();
        say_all(&self.core, &says).await;
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
async fn slip_in(store: &Store, messages: &[Outgoing]) {
    let mut tx = store.begin().await.unwrap();
    for message in messages {
        tx.say(std::slice::from_ref(message)).await.unwrap();
    }
    tx.commit().await.unwrap();
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
