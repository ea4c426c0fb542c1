//! From the samples of a metrics store to the increments of one tick (JUDGE sections 3.2 and 3.3).
//!
//! A router sends its own totals; a store has one series for each combination of labels, and a series may come late, go, or start
//! anew by itself. So each is followed alone, and a target's increases count together, scrape by scrape: one scrape shows all series
//! of its target, or none. An absent part of a share is 0 where the whole is there; without the whole there is nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pairing::{Pairing, Released};
use super::{Collected, GAP_TICKS, SOURCES_MAX, reject};
use crate::metric::SignalName;
use crate::query::Part;
use crate::series::{Bounds, Notes, Sample, Series};
use crate::signal::Signal;
use crate::tick::Arm;

mod increase;

use increase::Increase;

/// Most series of one target, signal and arm, because they are stored at each tick.
const SERIES_MAX: usize = 512;

/// What one series held in the stretch of time that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Scraped {
    /// The target that was scraped.
    pub target: String,
    /// The labels that tell the series from others of the target.
    pub labels: String,
    /// Which number of the signal it gives.
    pub part: Part,
    /// The upper edge of a bucket; of no meaning for other parts.
    pub edge: f64,
    /// Its raw samples.
    pub samples: Vec<Sample>,
}

/// All series of one signal and arm in the stretch of time that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The signal.
    pub signal: SignalName,
    /// The arm.
    pub arm: Arm,
    /// Its series, in any order.
    pub series: Vec<Scraped>,
    /// When targets started, in milliseconds since the epoch, as far as it is known.
    pub started: BTreeMap<String, i64>,
}

/// What is remembered of the store's series in a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scrapes {
    applied_at_ms: Option<i64>,
    read_until_ms: Option<i64>,
    pairing: Pairing,
    signals: BTreeMap<SignalName, Arms>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Arms {
    candidate: BTreeMap<String, Target>,
    stable: BTreeMap<String, Target>,
}

/// One target of a signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Target {
    /// The last scrape that was used.
    scraped_at_ms: i64,
    series: BTreeMap<String, Series>,
}

impl Scrapes {
    /// Starts a step whose split was applied at this time, in milliseconds since the epoch. Said again, it changes nothing.
    pub fn enter_step(&mut self, applied_at_ms: i64, is_stable_planned: bool) {
        if self.applied_at_ms != Some(applied_at_ms) {
            *self = Self { applied_at_ms: Some(applied_at_ms), ..Self::default() };
        }
        self.pairing.plan_stable(is_stable_planned);
    }

    /// From when on samples are wanted, in milliseconds since the epoch: what is older is known, or no evidence, or a gap too long.
    #[must_use]
    pub fn wanted_since_ms(&self, until_ms: i64, tick_ms: i64) -> i64 {
        let applied_at_ms = self.applied_at_ms.unwrap_or(until_ms);
        // A tick more, because a scrape is written down a little after its time.
        let known_ms = self.read_until_ms.map_or(applied_at_ms, |until_ms| until_ms.saturating_sub(tick_ms));
        known_ms.max(until_ms.saturating_sub(tick_ms.saturating_mul(GAP_TICKS + 1))).max(applied_at_ms)
    }

    /// Whether a target of this signal and arm was seen in this step.
    #[must_use]
    pub fn knows(&self, signal: &SignalName, arm: Arm, target: &str) -> bool {
        self.signals.get(signal).is_some_and(|arms| arms.of(arm).contains_key(target))
    }

    /// Takes what the store answered about the time up to `until_ms`.
    pub fn take(&mut self, replies: &[Reply], until_ms: i64, tick_ms: i64) -> Notes {
        let mut notes = Notes::default();
        let Some(start_ms) = self.applied_at_ms else { return notes };
        let bounds = Bounds { start_ms, max_gap_ms: tick_ms.saturating_mul(GAP_TICKS) };
        for reply in replies {
            let targets = self.signals.entry(reply.signal.clone()).or_default().of_mut(reply.arm);
            for (name, scrapes) in by_scrape(reply) {
                if !targets.contains_key(name) && targets.len() >= SOURCES_MAX {
                    reject(&mut notes, 1);
                    continue;
                }
                let is_young = reply.started.get(name).is_some_and(|started_ms| *started_ms >= start_ms);
                let target = targets.entry(name.to_owned()).or_default();
                for (at_ms, scrape) in scrapes.range(start_ms.max(target.scraped_at_ms.saturating_add(1))..=until_ms) {
                    let resets = notes.resets;
                    let Some(increase) = target.advance((*at_ms, scrape), is_young, bounds, &mut notes) else {
                        continue;
                    };
                    self.pairing.reset(&reply.signal, notes.resets - resets);
                    self.pairing.hear_of(reply.arm, &reply.signal);
                    if let Some(increase) = increase {
                        self.pairing.add_of(reply.arm, &reply.signal, name, &increase);
                    }
                }
            }
        }
        self.read_until_ms = self.read_until_ms.max(Some(until_ms));
        notes
    }

    /// Ends the tick: what leaves in it.
    pub fn close(&mut self) -> Collected {
        let Released { candidate, stable, stable_series, resets } = self.pairing.release();
        Collected { candidate, stable, stable_series, resets, ..Collected::default() }
    }
}

impl Arms {
    const fn of(&self, arm: Arm) -> &BTreeMap<String, Target> {
        match arm {
            Arm::Candidate => &self.candidate,
            Arm::Stable => &self.stable,
        }
    }

    const fn of_mut(&mut self, arm: Arm) -> &mut BTreeMap<String, Target> {
        match arm {
            Arm::Candidate => &mut self.candidate,
            Arm::Stable => &mut self.stable,
        }
    }
}

impl Target {
    /// Takes one scrape. None if it shows too little of the signal to be used; else what increased, if anything did.
    fn advance(
        &mut self,
        (at_ms, scrape): (i64, &Scrape<'_>),
        is_young: bool,
        bounds: Bounds,
        notes: &mut Notes,
    ) -> Option<Option<Signal>> {
        if scrape.iter().any(|(_, value)| !value.is_finite() || *value < 0.0) {
            reject(notes, 1);
            return None;
        }
        // In its first scrape a target shows all of its past, unless it has none from before the step. Events by the second count
        // between two scrapes: a target that is seen for its first event would seem to have had it in no time.
        let is_first = self.series.is_empty();
        let is_rate = scrape.iter().any(|(series, _)| series.part == Part::Events);
        let first_round = is_first && (!is_young || is_rate);
        let told_ms = if is_first { 0 } else { at_ms.saturating_sub(self.scraped_at_ms) };
        let seconds = if told_ms > bounds.max_gap_ms { 0.0 } else { told_ms as f64 / 1000.0 };
        let mut sum = Increase::of(scrape.iter().map(|(series, _)| *series), seconds)?;
        for (series, value) in scrape {
            let key = format!("{:?} {}", series.part, series.labels);
            if !self.series.contains_key(&key) && self.series.len() >= SERIES_MAX {
                reject(notes, 1);
                continue;
            }
            let known = self.series.entry(key).or_default();
            let sample = Sample { at_ms, value: *value };
            if let Some(increase) = known.advance(sample, first_round, bounds, notes) {
                sum.add(series, increase);
            }
        }
        self.scraped_at_ms = at_ms;
        let increase = sum.signal();
        if increase.is_none() {
            notes.inconsistent = notes.inconsistent.saturating_add(1);
        }
        Some(increase.filter(|increase| increase.exposure().is_some_and(|n| n > 0.0)))
    }
}

/// What one scrape shows: each series with its value.
type Scrape<'a> = Vec<(&'a Scraped, f64)>;

/// The samples of a reply by target and by the time of their scrape.
fn by_scrape(reply: &Reply) -> BTreeMap<&str, BTreeMap<i64, Scrape<'_>>> {
    let mut targets: BTreeMap<&str, BTreeMap<i64, Scrape<'_>>> = BTreeMap::new();
    for series in &reply.series {
        for sample in &series.samples {
            let scrapes = targets.entry(&series.target).or_default();
            scrapes.entry(sample.at_ms).or_default().push((series, sample.value));
        }
    }
    targets
}

#[cfg(test)]
mod tests;
