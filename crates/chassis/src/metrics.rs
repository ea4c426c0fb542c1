//! What the chassis counts, for every service alike, and the page for Prometheus.
//!
//! Counters are raised by what was committed, in one place; gauges are read from the rows when the page is asked for, so that
//! they can't drift from them. Labels come from closed sets: see `word`.

pub(crate) mod process;
mod rows;
mod word;

use std::sync::{Arc, Mutex};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proto::Message;
use proto::serving::Beat;
use store::{Change, Settled, Store};

use crate::bus::{Bucket, Bus};
use crate::commit::Commit;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByService {
    pub(crate) service: &'static str,
}

/// A service, and what became of a cause: `applied`, `refused` or `parked`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByOutcome {
    pub(crate) service: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMove {
    to: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByArm {
    arm: &'static str,
}

/// How a stop reached the routers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoad {
    /// `database` or `memory`.
    road: &'static str,
}

/// A place where a text is made by somebody else.
type Page = Box<dyn Fn() -> String + Send + Sync>;

/// The counters of a process, and its page.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    pages: Arc<Mutex<Vec<Page>>>,
    refused: rows::Refused,
    settled: Family<ByOutcome, Counter>,
    refusals: Family<ByReason, Counter>,
    transitions: Family<ByMove, Counter>,
    verdicts: Family<ByResult, Counter>,
    exposed: Family<ByArm, Counter>,
    rollback_seconds: Histogram,
    pub(crate) races_lost: Family<ByService, Counter>,
    pub(crate) redelivered: Family<ByService, Counter>,
    pub(crate) retried: Family<ByService, Counter>,
    pub(crate) late_seconds: Histogram,
    stops: Family<ByRoad, Counter>,
    clock_jumps: Counter,
    permission_refused: Family<ByService, Counter>,
    broker_went_back: Counter,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix("tidegate"))),
            pages: Arc::default(),
            refused: rows::Refused::default(),
            settled: Family::default(),
            refusals: Family::default(),
            transitions: Family::default(),
            verdicts: Family::default(),
            exposed: Family::default(),
            rollback_seconds: Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0]),
            races_lost: Family::default(),
            redelivered: Family::default(),
            retried: Family::default(),
            stops: Family::default(),
            clock_jumps: Counter::default(),
            permission_refused: Family::default(),
            broker_went_back: Counter::default(),
            late_seconds: Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0]),
        };
        metrics.register(|registry| metrics.register_in(registry));
        metrics
    }
}

impl Metrics {
    fn register_in(&self, registry: &mut Registry) {
        registry.register("causes", "Messages and deadlines that a service has settled", self.settled.clone());
        registry.register("refusals", "Facts that changed nothing, by why", self.refusals.clone());
        registry.register("transitions", "Moves of rollouts", self.transitions.clone());
        registry.register("verdicts", "Verdicts said", self.verdicts.clone());
        registry.register("exposed_requests", "Answers counted while a rollout was judged", self.exposed.clone());
        registry.register(
            "rollback_seconds",
            "From the decision to take traffic back until every router confirmed that the candidate gets none",
            self.rollback_seconds.clone(),
        );
        registry.register("races_lost", "Commits that another one was quicker than", self.races_lost.clone());
        registry.register("redelivered", "Messages that came again after they were settled", self.redelivered.clone());
        registry.register(
            "retries",
            "Causes that had to wait for the database or the outside world",
            self.retried.clone(),
        );
        registry.register("stops", "Stops by the road that they took", self.stops.clone());
        registry.register("clock_jumps", "Jumps of the wall clock beside process time", self.clock_jumps.clone());
        registry.register(
            "permission_refused",
            "What a nats-server did not let a service do",
            self.permission_refused.clone(),
        );
        registry.register(
            "broker_went_back",
            "Times that a nats-server had lost what it had acknowledged",
            self.broker_went_back.clone(),
        );
        registry.register("deadline_late_seconds", "How late deadlines fired", self.late_seconds.clone());
    }

    /// Counts a stop: recorded in time (`database`), or not yet (`memory`).
    pub fn stopped(&self, road: &'static str) {
        self.stops.get_or_create(&ByRoad { road }).inc();
    }

    /// A count that begins with its first event would show none: what an alarm looks at is the difference.
    pub(crate) fn may_be_refused(&self, service: &'static str) {
        drop(self.permission_refused.get_or_create(&ByService { service }));
    }

    pub(crate) fn permission_refused(&self, service: &'static str) {
        self.permission_refused.get_or_create(&ByService { service }).inc();
    }

    pub(crate) fn broker_went_back(&self) {
        self.broker_went_back.inc();
    }

    pub(crate) fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// Registers what a service counts itself.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().expect("no holder of the registry panics"));
    }

    /// Adds a page that is made elsewhere, in the text format of Prometheus.
    pub fn add_page(&self, page: impl Fn() -> String + Send + Sync + 'static) {
        self.pages.lock().expect("no holder of the pages panics").push(Box::new(page));
    }

    pub(crate) fn settled(&self, service: &'static str, settled: Settled) {
        self.settled.get_or_create(&ByOutcome { service, outcome: settled.name() }).inc();
    }

    /// Counts what a commit says and changes.
    pub(crate) fn committed(&self, service: &'static str, commit: &Commit) {
        self.settled(service, commit.settled);
        if commit.settled == Settled::Refused {
            let reason = word::refusal(commit.reason.as_deref());
            self.refusals.get_or_create(&ByReason { reason }).inc();
        }
        for say in &commit.says {
            if let Message::VerdictReached(reached) = &say.message {
                let result = serde_json::to_value(reached.verdict.result);
                let result = result.ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
                self.verdicts.get_or_create(&ByResult { result }).inc();
            }
        }
        commit.changes.iter().for_each(|change| self.changed(change));
    }

    fn changed(&self, change: &Change) {
        match change {
            Change::Open { row, .. } | Change::Move { row, .. } => {
                let to = ByMove { to: row.stage.name(), reason: word::reason(row.reason.as_deref()) };
                self.transitions.get_or_create(&to).inc();
                if let Some(decided_at) = row.retreated_at.filter(|_| row.stage.is_final()) {
                    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a retreat are far below 2^52")]
                    self.rollback_seconds.observe(row.updated_at.ms_since(decided_at) as f64 / 1000.0);
                }
            }
            Change::Tick(tick) => {
                let answers = tick.row.pointer("/signals/error/count/n").and_then(serde_json::Value::as_f64);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of a tick")]
                let answers = answers.unwrap_or_default().max(0.0) as u64;
                self.exposed.get_or_create(&ByArm { arm: tick.arm }).inc_by(answers);
            }
            _ => {}
        }
    }

    /// The page for Prometheus: text that both of its formats read alike.
    pub(crate) async fn page(&self, store: &Store, bus: &Bus, now: rollout::At) -> String {
        let mut text = self.counters();
        match rows::page(store, bus, now, &self.refused).await {
            Ok(gauges) => text.push_str(&gauges),
            // The counters say what is wrong with the database; a page without them would not.
            Err(error) => tracing::warn!("the metrics page is without what the database says: {error}"),
        }
        text.push_str(&beat_age(bus, now));
        text.push_str(&process::page());
        for page in self.pages.lock().expect("no holder of the pages panics").iter() {
            text.push_str(&page());
        }
        text
    }

    /// What this process has counted, without what the database says.
    ///
    /// # Panics
    /// Never: no holder of the registry panics.
    pub fn counters(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().expect("no holder of the registry panics");
        // Writing into a String can't fail.
        let _ = encode_registry(&mut text, &registry);
        as_prometheus(&text)
    }
}

/// How long ago the control part last beat; nothing before its first one. It is on the bus, so it is said with the database down.
fn beat_age(bus: &Bus, now: rollout::At) -> String {
    let beats = bus.watch(Bucket::Beat);
    let beat = beats.borrow().get(Beat::KEY).and_then(|entry| serde_json::from_str::<Beat>(&entry.value).ok());
    let Some(beat) = beat else { return String::new() };
    #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
    let seconds = now.ms_since(beat.beat_at).max(0) as f64 / 1000.0;
    format!(
        "# HELP tidegate_beat_age_seconds Time since the control part last beat\n# TYPE tidegate_beat_age_seconds gauge\ntidegate_beat_age_seconds {seconds}\n"
    )
}

/// OpenMetrics names a counter without its `_total`; the older text format, in which the router's page is written, with it.
fn as_prometheus(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + 512);
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in text.lines() {
        match line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .and_then(|rest| rest.split_once(' '))
        {
            Some((name, rest)) if counters.contains(&name) => {
                page.push_str(&format!("{} {name}_total {rest}\n", &line[..6]));
            }
            _ => {
                page.push_str(line);
                page.push('\n');
            }
        }
    }
    page
}
