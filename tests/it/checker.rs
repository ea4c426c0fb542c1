//! Reads the database of a stopped tidegate, and the streams where they are on a server, and says what the invariants of
//! RELIABILITY section 6.1 have against it. It trusts no counter of a service. What users and routers saw meanwhile is in
//! [`crate::witness`].

mod log;
mod server;
mod stream;

use std::path::Path;

use chassis::services::WITH_DATABASE;
use rollout::{At, Rollout, Stage, Tenant};
use store::{Reader, Store};

pub(crate) use server::Server;

/// Processes of one machine agree about the hour to this much.
const CLOCKS_AGREE_MS: i64 = 100;

/// Everything that is wrong; empty when nothing is.
pub(crate) async fn violations(folder: &Path) -> Vec<String> {
    let store = Store::open(folder).await.unwrap();
    let wrong = violations_of(&store, None).await;
    store.close().await;
    wrong
}

/// The same of any database, and of the server that its messages went over.
pub(crate) async fn violations_of(store: &Store, server: Option<&Server>) -> Vec<String> {
    let mut reader = store.reader().await.unwrap();
    let mut wrong = Vec::new();
    let rollouts = rollouts(&mut reader).await;
    for row in &rollouts {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        wrong.extend(log::of_rollout(row, &log));
        if !row.stage.is_final() {
            wrong.push(format!("{} is still {}", row.id, row.stage));
        }
        if let Some(version) = reader.rows().broken_link(&row.id).await.unwrap() {
            wrong.push(format!("{} version {version}: its hash does not follow from the entry before", row.id));
        }
    }
    wrong.extend(at_once(&mut reader, &rollouts).await);
    wrong.extend(stream::violations(&mut reader, &rollouts, server).await);
    wrong.extend(of_routes(&mut reader).await);
    if let Some(server) = server {
        wrong.extend(server.violations(&mut reader).await);
    }
    for parked in reader.rows().parked((At(i64::MAX), ""), 100).await.unwrap() {
        wrong.push(format!("parked {} by {}: {}: {}", parked.message_id, parked.service, parked.reason, parked.error));
    }
    wrong
}

/// Whether every message is published, nothing waits at any consumer, and the routers follow what is wished for.
pub(crate) async fn rests(store: &Store, server: &Server) -> bool {
    let mut reader = store.reader().await.unwrap();
    for service in WITH_DATABASE {
        if reader.rows().unpublished(service.name, 1).await.unwrap().0 > 0 {
            return false;
        }
    }
    server.waiting().await.is_empty() && server.astray(&mut reader).await.is_empty()
}

/// What is wrong, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    lost: usize,
    doubled: usize,
    early: usize,
    other: usize,
}

impl Counted {
    pub(crate) fn of(wrong: &[String]) -> Self {
        let count = |words: &[&str]| wrong.iter().filter(|what| words.iter().any(|word| what.contains(word))).count();
        let lost = count(&["it is lost", "never settled", "never published", "said nothing", "before it and"]);
        let doubled = count(&["handled twice", "moved it twice"]);
        let early = count(&["early by", "left step", "moved on"]);
        Self { lost, doubled, early, other: wrong.len() - lost - doubled - early }
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lost, doubled, early, other } = self;
        write!(f, "lost {lost}, doubled {doubled}, early {early}, otherwise wrong {other}")
    }
}

/// Every rollout of a stopped tidegate, oldest first, with the moves of its log: from, to, step, kind of the fact.
pub(crate) async fn stories(folder: &Path) -> Vec<(Rollout, Vec<String>)> {
    let store = Store::open(folder).await.unwrap();
    let stories = stories_of(&store).await;
    store.close().await;
    stories
}

/// The same of any database.
pub(crate) async fn stories_of(store: &Store) -> Vec<(Rollout, Vec<String>)> {
    let mut reader = store.reader().await.unwrap();
    let mut stories = Vec::new();
    for row in rollouts(&mut reader).await.into_iter().rev() {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        stories.push((row, log::story(&log)));
    }
    stories
}

/// I10: from the end of its waiting to its own end a rollout is alone with its model.
async fn at_once(reader: &mut Reader, rollouts: &[Rollout]) -> Vec<String> {
    let (mut wrong, mut lives) = (Vec::new(), Vec::new());
    for row in rollouts {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        let is_live = |stage: &str| stage != "queued" && !Stage::named(stage).is_some_and(Stage::is_final);
        let began = log.iter().find(|entry| is_live(&entry.to_stage)).map(|entry| entry.decided_at);
        let ended = log.last().filter(|_| row.stage.is_final()).map_or(At(i64::MAX), |entry| entry.decided_at);
        lives.extend(began.map(|began| (&row.model, began, ended, &row.id)));
    }
    lives.sort();
    for pair in lives.windows(2) {
        let ((model, _, ended, id), (next_model, began, _, next)) = (pair[0], pair[1]);
        if model == next_model && ended.ms_since(began) > CLOCKS_AGREE_MS {
            wrong.push(format!("{next} began while {id} was live"));
        }
    }
    wrong
}

async fn rollouts(reader: &mut Reader) -> Vec<Rollout> {
    reader.rows().rollouts(&Tenant::default(), (At(i64::MAX), ""), 10_000).await.unwrap()
}

/// I11, and I13 of what was wished: when nothing is live, one version has everything, and it is registered.
async fn of_routes(reader: &mut Reader) -> Vec<String> {
    let mut wrong = Vec::new();
    for route in reader.rows().routes().await.unwrap() {
        if let Err(what) = route.check() {
            wrong.push(format!("route of {}: {what}", route.model));
        }
        if route.arms.len() != 1 {
            wrong.push(format!("route of {} still has {} arms", route.model, route.arms.len()));
        }
        for arm in &route.arms {
            if reader.rows().version(&route.tenant, &route.model, &arm.version).await.unwrap().is_none() {
                wrong.push(format!("route of {} names {}, which nobody registered", route.model, arm.version));
            }
        }
    }
    wrong
}
