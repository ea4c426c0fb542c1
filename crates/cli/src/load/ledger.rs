//! The running account of a load: adds up what became of each request. Knows no I/O.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::histogram::Histogram;
use super::report::{Blame, Moment, Report, VersionReport};
use super::request::{Head, Outcome};
use super::sessions::{Trail, VERSIONS_MAX};

/// The account of a run that goes on.
#[derive(Debug)]
pub(super) struct Ledger {
    started_at: (Instant, SystemTime),
    totals: Report,
    versions: Vec<VersionAccount>,
    trails: Vec<Trail>,
    /// By place of the old and the new version.
    changes: BTreeMap<(usize, usize), u64>,
}

#[derive(Debug)]
struct VersionAccount {
    name: String,
    counts: VersionReport,
    latencies: Histogram,
}

impl Ledger {
    pub(super) fn new(sessions: u32) -> Self {
        Self {
            started_at: (Instant::now(), SystemTime::now()),
            totals: Report::default(),
            versions: Vec::new(),
            trails: vec![Trail::default(); sessions.max(1) as usize],
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn sent(&mut self) {
        self.totals.requests += 1;
        self.totals.in_flight += 1;
    }

    pub(super) fn skipped(&mut self) {
        self.totals.skipped += 1;
    }

    pub(super) fn ended(&mut self, session: u32, outcome: &Outcome) {
        self.totals.in_flight = self.totals.in_flight.saturating_sub(1);
        if let Some((blame, word)) = &outcome.failure {
            let whose = match blame {
                Blame::Us => "us",
                Blame::Model => "model",
            };
            *self.totals.failures.entry(format!("{whose}: {word}")).or_default() += 1;
            match blame {
                Blame::Us => self.totals.failed_by_us += 1,
                Blame::Model => self.totals.failed_by_model += 1,
            }
        }
        if let Some(head) = &outcome.head {
            self.begun(session, outcome, head);
        }
    }

    /// The account as it stands.
    pub(super) fn report(&self) -> Report {
        let mut report = self.totals.clone();
        for version in &self.versions {
            report.versions.insert(version.name.clone(), version.report());
        }
        for ((old, new), count) in &self.changes {
            let change = format!("{} -> {}", self.versions[*old].name, self.versions[*new].name);
            report.changes.insert(change, *count);
        }
        report
    }

    fn begun(&mut self, session: u32, outcome: &Outcome, head: &Head) {
        let moment = self.moment(head.begun_at);
        let first = self.totals.first_begun.get_or_insert(moment);
        *first = earlier(*first, moment);
        if outcome.latency.is_some() {
            self.totals.answered += 1;
            self.totals.answered_without_version += u64::from(head.version.is_none());
            *self.totals.by_class.entry(format!("{}xx", head.status / 100)).or_default() += 1;
        }
        let Some(name) = &head.version else { return };
        let place = self.place(name);
        let version = &mut self.versions[place];
        version.counts.answered += 1;
        version.counts.failed += u64::from(matches!(outcome.failure, Some((Blame::Model, _))));
        let first = version.counts.first_begun.get_or_insert(moment);
        *first = earlier(*first, moment);
        // Answers are counted when they end, which is not the order in which they began.
        let last = version.counts.last_begun.get_or_insert(moment);
        *last = if last.at < moment.at { moment } else { *last };
        if let Some(latency) = outcome.latency {
            version.latencies.record(latency);
        }
        self.follow(session, place, outcome.sent_at, head.begun_at);
    }

    fn follow(&mut self, session: u32, place: usize, sent_at: Instant, begun_at: Instant) {
        let Some(trail) = self.trails.get_mut(session as usize) else {
            return;
        };
        self.totals.sessions += u64::from(trail.is_new());
        let step = trail.step(place, sent_at, begun_at);
        self.versions[place].counts.sessions += u64::from(step.is_first_of_version);
        self.totals.sticky_violations += u64::from(step.is_return);
        self.totals.sticky_violators += u64::from(step.is_first_return);
        self.totals.overlapping += u64::from(step.is_overlapping);
        if let Some(old) = step.changed_from {
            *self.changes.entry((old, place)).or_default() += 1;
        }
    }

    fn place(&mut self, name: &str) -> usize {
        let known = self.versions.iter().position(|version| version.name == name);
        known.unwrap_or_else(|| {
            if self.versions.len() < VERSIONS_MAX {
                self.versions.push(VersionAccount::new(name));
            }
            self.versions.len() - 1
        })
    }

    fn moment(&self, at: Instant) -> Moment {
        let (started_at, wall) = self.started_at;
        let wall = wall + at.saturating_duration_since(started_at);
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { at, unix_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl VersionAccount {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), counts: VersionReport::default(), latencies: Histogram::new() }
    }

    fn report(&self) -> VersionReport {
        VersionReport {
            p50_ms: self.latencies.quantile_ms(0.50),
            p95_ms: self.latencies.quantile_ms(0.95),
            p99_ms: self.latencies.quantile_ms(0.99),
            ..self.counts.clone()
        }
    }
}

fn earlier(one: Moment, other: Moment) -> Moment {
    if other.at < one.at { other } else { one }
}
