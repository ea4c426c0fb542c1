//! Following a control plane by HTTP: one task says what this router is and has on its disk, another asks for routes and waits at
//! the control plane until they change. Routes are asked for only by a router that is known there, so that a split that counts as
//! applied is applied here too. Without the control plane, whatever was adopted last is served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::{Entry, Say, Values};
use proto::Message;
use proto::internal::{Choice, NAME_TAKEN, NOT_INTRODUCED, NewSample, RouteTable, RouterState};
use rollout::{Arm, RouterName, Share};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Life;
use super::adoption::BEAT_AGAIN;
use super::call::{Failed, Server};
use super::pace::Pace;
use crate::named::Choices;
use crate::routes::Routes;

/// How long a router that starts waits for its name: a dead router of that name is known as dead after 15 s.
const NAME_LIMIT: Duration = Duration::from_secs(20);
/// Between two answers with routes, so that a control plane that never waits is not asked without end.
const BREATH: Duration = Duration::from_millis(5);
/// The last word has this long.
const LEAVE_LIMIT: Duration = Duration::from_millis(900);

/// Who a router is to its control plane.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) name: RouterName,
    pub(super) boot: String,
    pub(super) home: String,
}

impl Who {
    pub(super) fn source(&self) -> String {
        format!("{}.{}", self.name, self.boot)
    }
}

/// A control plane that is followed.
#[derive(Debug)]
pub(super) struct Control {
    server: Server,
    who: Who,
    adopted: Routes,
    choices: Choices,
    values: watch::Sender<Values>,
    is_known: watch::Sender<bool>,
    news: Notify,
    refused: watch::Sender<Option<String>>,
    /// What was last told to be wrong, so that an outage is one line and not thousands.
    trouble: Mutex<Option<String>>,
}

impl Control {
    /// Begins to follow.
    pub(super) fn start(life: &Life, server: Server, who: Who, (adopted, choices): (&Routes, &Choices)) -> Arc<Self> {
        let control = Arc::new(Self {
            server,
            who,
            adopted: adopted.clone(),
            choices: choices.clone(),
            values: watch::channel(Values::default()).0,
            is_known: watch::channel(false).0,
            news: Notify::new(),
            refused: watch::channel(None).0,
            trouble: Mutex::default(),
        });
        for task in [Arc::clone(&control).run(true), Arc::clone(&control).run(false)] {
            let stop = life.stop.clone();
            life.tasks.spawn(async move { stop.run_until_cancelled(task).await });
        }
        control
    }

    async fn run(self: Arc<Self>, reports: bool) {
        if reports { self.report().await } else { self.listen().await }
    }

    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    /// What the control plane offers, by `<tenant>.<model>`.
    pub(super) fn routes(&self) -> watch::Receiver<Values> {
        self.values.subscribe()
    }

    /// Ends when the control plane does not want this router, with the reason.
    pub(super) async fn refused(&self) -> String {
        let mut refused = self.refused.subscribe();
        match refused.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives as long as `self`.
            Err(_) => String::new(),
        }
    }

    /// Whether the control plane knows this router.
    pub(super) fn is_known(&self) -> bool {
        *self.is_known.borrow()
    }

    /// There is more on the disk than was said.
    pub(super) fn has_news(&self) {
        self.news.notify_one();
    }

    /// Sends a sample; a router that is not known yet has nobody to send it to.
    pub(super) async fn send(&self, say: Say) -> Result<(), String> {
        let Message::RequestsCounted(sample) = say.message else { return Err("not a sample".to_owned()) };
        if !*self.is_known.borrow() {
            return Err(format!("this router is not known at {} yet", self.server.address()));
        }
        let sample = NewSample { id: say.id, sample };
        self.server.sample(&self.who.name, &sample).await.map_err(|failed| failed.to_string())
    }

    /// Says that the router took its last request.
    pub(super) async fn leave(&self) {
        let left = tokio::time::timeout(LEAVE_LIMIT, self.server.introduce(&self.who.name, &self.state(true))).await;
        match left {
            Ok(Ok(_)) => {}
            Ok(Err(failed)) => tracing::warn!("could not say that {} has left: {failed}", self.who.name),
            Err(_) => tracing::warn!("could not say that {} has left: no answer in time", self.who.name),
        }
    }

    /// Only what is on the disk is said to be adopted.
    fn state(&self, leaves: bool) -> RouterState {
        let (mut adopted, mut held) = (BTreeMap::new(), BTreeMap::new());
        for (tenant, model, word) in self.adopted.words() {
            let place = proto::subject::key(&tenant, &model);
            held.extend(word.held.map(|held| (place.clone(), held)));
            adopted.insert(place, word.generation);
        }
        RouterState { boot: self.who.boot.clone(), home: self.who.home.clone(), adopted, held, leaves }
    }

    /// Says again and again what this router is, at once when there is more on its disk.
    async fn report(&self) {
        let (mut pace, began, mut was_known) = (Pace::default(), Instant::now(), false);
        loop {
            match self.server.introduce(&self.who.name, &self.state(false)).await {
                Ok(beat) => {
                    if let Some(beat) = beat {
                        self.adopted.beat(&beat).await;
                    }
                    was_known = true;
                    pace.reset();
                    self.is_fine();
                    self.is_known.send_replace(true);
                    // Without news it is said again for its own sake.
                    let _ = tokio::time::timeout(BEAT_AGAIN, self.news.notified()).await;
                }
                Err(failed) => {
                    self.is_known.send_replace(false);
                    if failed.is(NAME_TAKEN) && !was_known && began.elapsed() > NAME_LIMIT {
                        self.refused.send_replace(Some(failed.to_string()));
                        return;
                    }
                    self.troubles(&failed);
                    tokio::time::sleep(pace.next()).await;
                }
            }
        }
    }

    /// Asks for routes and takes them.
    async fn listen(&self) {
        let (mut pace, mut tag) = (Pace::default(), None);
        let mut known = self.is_known.subscribe();
        loop {
            if known.wait_for(|is_known| *is_known).await.is_err() {
                return;
            }
            match self.server.routes(Some((&self.who.name, &self.who.boot)), tag.as_deref()).await {
                Ok(offered) => {
                    pace.reset();
                    if let Some((new, table)) = offered {
                        tag = Some(new);
                        self.take(&table);
                    }
                    tokio::time::sleep(BREATH).await;
                }
                Err(failed) => {
                    // One that was started again does not know anybody.
                    if failed.is(NOT_INTRODUCED) {
                        self.is_known.send_replace(false);
                        self.news.notify_one();
                    } else {
                        self.troubles(&failed);
                    }
                    tokio::time::sleep(pace.next()).await;
                }
            }
        }
    }

    /// Puts the routes where adoption sees them. One that the control plane does not name any more stays as it is.
    fn take(&self, table: &RouteTable) {
        self.choices.replace(table.choices.iter().map(|(key, choices)| (key.clone(), arms(choices))).collect());
        self.values.send_if_modified(|values| offered(values, table));
    }

    fn troubles(&self, failed: &Failed) {
        let text = failed.to_string();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref() != Some(&text) {
            tracing::warn!("{text}; the last good routes are served, and it is tried again");
            *trouble = Some(text);
        }
    }

    fn is_fine(&self) {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if trouble.is_some() || !*self.is_known.borrow() {
            tracing::info!("router {} follows the control plane at {}", self.who.name, self.server.address());
        }
    }
}

fn arms(choices: &[Choice]) -> Vec<Arm> {
    let arm = |choice: &Choice| Arm {
        version: choice.version.clone(),
        basis_points: Share::ZERO,
        upstream: choice.upstream.clone(),
        headers: choice.headers.clone(),
    };
    choices.iter().map(arm).collect()
}

/// Notes what changed, counting the changes of each key; says whether anything did.
fn offered(values: &mut Values, table: &RouteTable) -> bool {
    let mut has_changed = false;
    for (key, route) in &table.routes {
        let entry = values.entry(key.clone()).or_insert_with(|| Entry { revision: 0, value: String::new() });
        if entry.value != route.get() {
            *entry = Entry { revision: entry.revision + 1, value: route.get().to_owned() };
            has_changed = true;
        }
    }
    has_changed
}
