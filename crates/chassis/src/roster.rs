//! The routers as they describe themselves in the bucket `tg_router`: a heartbeat at `<router>._._`, and at
//! `<router>.<tenant>.<model>` the generation that is on its disk. All who write or read that bucket do it here.
//!
//! Each word carries the boot of the process that said it, so that what a process of the past adopted counts for nothing.

use std::sync::{Arc, Mutex};

use judge::Span;
use proto::serving::{Held, Word};
use rollout::{At, RouterName};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::bus::{Bucket, Bus, Entry, Error, Values, changes};

/// A router whose heartbeat is older is dead.
pub const ALIVE: Span = Span(15_000);

/// No lease is longer; of a router that was silent for so long nothing is remembered.
const REMEMBERED: Span = Span(25 * 3600 * 1000);

/// What stands for tenant and model in the key of a heartbeat; no name is escaped to it.
pub(crate) const HEARTBEAT: &str = "_._";

/// A router says that it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its process: a UUID of version 7, so that a later one is greater.
    pub boot: String,
    /// Its folder.
    pub home: String,
    /// When, by the clock of whoever heard it.
    pub beat_at: At,
    /// It takes no requests any more, by its own word.
    pub has_left: bool,
}

impl Heartbeat {
    /// Whether the router took requests a moment ago, as far as anybody can know.
    #[must_use]
    pub fn is_live(&self, now: At) -> bool {
        !self.has_left && now.ms_since(self.beat_at) <= ALIVE.ms()
    }

    /// Whether a process may speak under the name after this one did: the same, one after its end, or the next of its folder,
    /// which can only be opened when the last one is gone.
    fn gives_way_to(&self, next: &Self) -> bool {
        self.boot == next.boot || !self.is_live(next.beat_at) || self.home == next.home && self.boot < next.boot
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Adopted {
    boot: String,
    generation: i64,
    /// Whether it serves less than that route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
}

/// The routers that said something. Where the bus forgets what was said a minute ago, this remembers it: a router that vanished
/// may serve a candidate for as long as its lease is.
#[derive(Debug, Clone)]
pub struct Roster {
    bus: Bus,
    heard: Arc<Mutex<Heard>>,
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Heard {
    /// As the bus had it last.
    last: Values,
    all: Values,
}

impl Roster {
    /// The routers of this bus.
    #[must_use]
    pub fn new(bus: &Bus) -> Self {
        Self { bus: bus.clone(), heard: Arc::default() }
    }

    /// Changes whenever a router says something.
    #[must_use]
    pub fn said(&self) -> watch::Receiver<Values> {
        self.bus.watch(Bucket::Router)
    }

    /// All heartbeats, by name.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<(RouterName, Heartbeat)> {
        let values = self.values();
        names(&values).filter_map(|name| Some((name.parse().ok()?, heartbeat(&values, name)?))).collect()
    }

    /// The heartbeat of one router.
    #[must_use]
    pub fn heartbeat(&self, name: &RouterName) -> Option<Heartbeat> {
        heartbeat(&self.values(), name.as_str())
    }

    /// What a router has adopted for a model (`<tenant>.<model>`, escaped) since this heartbeat's boot.
    #[must_use]
    pub fn adopted(&self, name: &RouterName, heartbeat: &Heartbeat, place: &str) -> Option<Word> {
        let adopted = said(self.values().get(&format!("{name}.{place}"))?)?;
        let word = Word { generation: adopted.generation, held: adopted.held };
        (adopted.boot == heartbeat.boot).then_some(word)
    }

    /// The live routers, each with what it says of a model (`<tenant>.<model>`, escaped).
    #[must_use]
    pub fn words(&self, now: At, place: &str) -> Vec<(RouterName, Option<Word>)> {
        let live = self.heartbeats().into_iter().filter(|(_, heartbeat)| heartbeat.is_live(now));
        live.map(|(router, heartbeat)| {
            let word = self.adopted(&router, &heartbeat, place);
            (router, word)
        })
        .collect()
    }

    /// All that a router has adopted since this heartbeat's boot, by `<tenant>.<model>`.
    #[must_use]
    pub fn all_adopted(&self, name: &RouterName, heartbeat: &Heartbeat) -> Vec<(String, i64)> {
        let (values, front) = (self.values(), format!("{name}."));
        let own = values.range(front.clone()..).take_while(|(key, _)| key.starts_with(&front));
        own.filter_map(|(key, entry)| {
            let adopted = said(entry)?;
            (adopted.boot == heartbeat.boot).then(|| (key[front.len()..].to_owned(), adopted.generation))
        })
        .collect()
    }

    /// Notes a heartbeat; `false` when another live process has the name.
    ///
    /// # Errors
    /// When the bus does not answer.
    pub async fn beat(&self, name: &RouterName, heartbeat: &Heartbeat) -> Result<bool, Error> {
        let key = format!("{name}.{HEARTBEAT}");
        loop {
            let there = self.bus.watch(Bucket::Router).borrow().get(&key).cloned();
            let known = there.as_ref().and_then(|entry| serde_json::from_str::<Heartbeat>(&entry.value).ok());
            if known.is_some_and(|known| !known.gives_way_to(heartbeat)) {
                return Ok(false);
            }
            let revision = there.map_or(0, |entry| entry.revision);
            if self.bus.put(Bucket::Router, &key, Entry { revision, value: text(heartbeat)? }).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Notes what the process `boot` of a router has on its disk for a model; nothing is written where that is known for a while
    /// yet. Several may say so at once, and `word` is asked for after what stands there was read: the newest stays.
    ///
    /// # Errors
    /// When the bus does not answer.
    pub async fn adopt(
        &self,
        name: &RouterName,
        boot: &str,
        (place, word): (&str, impl Fn() -> Option<Word>),
    ) -> Result<(), Error> {
        let key = format!("{name}.{place}");
        loop {
            let there = self.bus.watch(Bucket::Router).borrow().get(&key).cloned();
            let Some(Word { generation, held }) = word() else { return Ok(()) };
            if self.knows(name, boot, (place, Word { generation, held })) {
                return Ok(());
            }
            let known = there.as_ref().and_then(said);
            let is_newer = |known: Adopted| (known.generation, known.held.is_some()) > (generation, held.is_some());
            if known.filter(|known| known.boot == boot).is_some_and(is_newer) {
                return Ok(());
            }
            let revision = there.map_or(0, |entry| entry.revision);
            let value = text(&Adopted { boot: boot.to_owned(), generation, held })?;
            if self.bus.put(Bucket::Router, &key, Entry { revision, value }).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Whether what the process `boot` of a router has adopted for a model is known, and for a while yet.
    #[must_use]
    pub fn knows(&self, name: &RouterName, boot: &str, (place, word): (&str, Word)) -> bool {
        let key = format!("{name}.{place}");
        let there = self.bus.watch(Bucket::Router).borrow().get(&key).and_then(said);
        let is_it =
            |there: Adopted| there.boot == boot && (there.generation, there.held) == (word.generation, word.held);
        there.is_some_and(is_it) && self.bus.is_fresh(Bucket::Router, &key)
    }

    fn values(&self) -> Values {
        let values = Values::clone(&self.bus.watch(Bucket::Router).borrow());
        if !self.bus.is_shared() {
            return values;
        }
        let mut heard = self.heard.lock().expect("no holder of what was heard panics");
        heard.hear(values);
        Values::clone(&heard.all)
    }
}

impl Heard {
    fn hear(&mut self, values: Values) {
        if self.last.ptr_eq(&values) {
            return;
        }
        let all = &mut self.all;
        if all.is_empty() {
            // Whoever asks only once need not copy what tens of thousands of words say.
            all.clone_from(&values);
        } else {
            for (key, entry) in changes(&self.last, &values) {
                all.insert(key.clone(), entry.clone());
            }
        }
        let beats: Vec<_> =
            names(all).filter_map(|name| Some((format!("{name}."), heartbeat(all, name)?.beat_at))).collect();
        let newest = beats.iter().map(|(_, beat_at)| beat_at.0).max().unwrap_or(0);
        for (front, _) in beats.iter().filter(|(_, beat_at)| newest - beat_at.0 > REMEMBERED.ms()) {
            *all = std::mem::take(all).into_iter().filter(|(key, _)| !key.starts_with(front.as_str())).collect();
        }
        self.last = values;
    }
}

/// What a router has said of a model.
fn said(entry: &Entry) -> Option<Adopted> {
    serde_json::from_str(&entry.value).ok()
}

/// The names of routers, each once, however many words each has said.
fn names(values: &Values) -> impl Iterator<Item = &str> {
    let name_from = |from: String| values.range(from..).next()?.0.split('.').next();
    // Behind the dot comes the slash, and no name holds either.
    std::iter::successors(name_from(String::new()), move |name| name_from(format!("{name}/")))
}

fn heartbeat(values: &Values, name: &str) -> Option<Heartbeat> {
    serde_json::from_str(&values.get(&format!("{name}.{HEARTBEAT}"))?.value).ok()
}

fn text(word: &impl Serialize) -> Result<String, store::Error> {
    serde_json::to_string(word).map_err(|cause| store::Error::Stored { what: "router", cause: cause.to_string() })
}
