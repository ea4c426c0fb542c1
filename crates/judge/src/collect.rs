//! From cumulative readings of sources to the increments of one tick (JUDGE sections 3.2 to 3.4).
//!
//! A source is a process that counts, such as a router. It sends both arms together, cumulative since its start, and only when something
//! changed. So a source whose newest reading was seen before has been silent: it contributed nothing and is not missing. A source
//! that cannot be read is left out of the slice; its next reading then spans a gap, and too long a gap is dropped.
//!
//! The collector is stored between ticks. It starts anew at each step, hence it is as large as the sources that report in one step.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::metric::SignalName;
use crate::series::Bounds;
use crate::signal::{SeriesSignals, Signal, Signals};
use crate::tick::Arm;

mod pairing;
pub mod scrapes;
mod track;

pub use crate::series::Notes;
use pairing::{Pairing, Released};
use track::Track;

/// Most sources that are followed in a step; readings of more are rejected, because the collector is stored at each tick.
const SOURCES_MAX: usize = 256;

/// Most signals of a source and arm, for the same reason: 64 observations, some of them by size too, and what routers count.
const SIGNALS_MAX: usize = 128;

/// The longest gap whose increase is kept, in ticks.
const GAP_TICKS: i64 = 4;

/// What a source has counted for one arm since its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The source, one process: a restart is another source, or has another start.
    pub source: String,
    /// The arm.
    pub arm: Arm,
    /// When it was read, in milliseconds since the epoch.
    pub sampled_at_ms: i64,
    /// When the source started to count, in milliseconds since the epoch.
    pub started_at_ms: i64,
    /// Totals since then.
    pub signals: Signals,
}

/// The increments of one tick.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Collected {
    /// Increments of the candidate.
    pub candidate: Signals,
    /// Increments of the stable arm.
    pub stable: Signals,
    /// Those by target, where targets are replicas of each other.
    pub stable_series: SeriesSignals,
    /// How many sources have counted sessions so far in the rollout, each start of one by itself.
    pub routers: u32,
    /// Counters that began anew, by signal, in either arm.
    pub resets: BTreeMap<SignalName, u64>,
    /// What was put right or dropped.
    pub notes: Notes,
}

/// What is remembered of all sources in a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Collector {
    applied_at_ms: Option<i64>,
    sources: BTreeMap<String, Source>,
    /// Readings from after the last tick's end, at most one for each source and arm.
    waiting: Vec<Reading>,
    pairing: Pairing,
    /// Sources that counted sessions in this rollout, each start of them, over all steps.
    #[serde(default)]
    boots: BTreeSet<(String, i64)>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Source {
    /// Whether it gave a reading in an earlier round of this step.
    has_answered: bool,
    candidate: Counted,
    stable: Counted,
}

/// What is remembered of one arm of a source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Counted {
    sampled_at_ms: Option<i64>,
    tracks: BTreeMap<SignalName, Track>,
}

/// What is the same for all readings of one tick.
struct Round {
    bounds: Bounds,
    until_ms: i64,
    collected: Collected,
}

impl Collector {
    /// A collector before its first step: nothing is evidence yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a step whose split was applied at this time, in milliseconds since the epoch. Said again, it changes nothing.
    pub fn enter_step(&mut self, applied_at_ms: i64) {
        if self.applied_at_ms != Some(applied_at_ms) {
            let (pairing, boots) = (self.pairing.fresh(), std::mem::take(&mut self.boots));
            *self = Self { applied_at_ms: Some(applied_at_ms), pairing, boots, ..Self::default() };
        }
    }

    /// Says whether the step leaves traffic to the stable arm (as it does unless said); if not, the candidate does not wait for it.
    pub const fn plan_stable(&mut self, is_planned: bool) {
        self.pairing.plan_stable(is_planned);
    }

    /// Whether this source gave a reading in an earlier round of this step.
    #[must_use]
    pub fn knows(&self, source: &str) -> bool {
        self.sources.get(source).is_some_and(|source| source.has_answered)
    }

    /// Takes readings as they arrive, up to `until_ms` (since the epoch): what they add waits for the end of the tick. A reading heard
    /// soon after a step's begin makes its first tick as long as it can be.
    pub fn hear(&mut self, readings: &[Reading], until_ms: i64, tick_ms: i64) -> Notes {
        let Some(start_ms) = self.applied_at_ms else { return Notes::default() };
        let bounds = Bounds { start_ms, max_gap_ms: tick_ms.saturating_mul(GAP_TICKS) };
        let mut round = Round { bounds, until_ms, collected: Collected::default() };
        let mut answered: Vec<String> = Vec::new();
        for reading in self.due(readings, &mut round) {
            if self.take(&reading, &mut round) {
                answered.push(reading.source);
            }
        }
        for name in answered {
            if let Some(source) = self.sources.get_mut(&name) {
                source.has_answered = true;
            }
        }
        round.collected.notes
    }

    /// Closes the tick that ends at `until_ms` (since the epoch) and is `tick_ms` long. `readings` are the latest of each source and
    /// arm; those from after the tick's end wait for the next one.
    pub fn close(&mut self, readings: &[Reading], until_ms: i64, tick_ms: i64) -> Collected {
        if self.applied_at_ms.is_none() {
            return Collected::default();
        }
        let notes = self.hear(readings, until_ms, tick_ms);
        // A router spreads over all replicas, so routers are no replicas of what is judged.
        let Released { candidate, stable, resets, .. } = self.pairing.release();
        let routers = u32::try_from(self.boots.len()).unwrap_or(u32::MAX);
        Collected { candidate, stable, routers, resets, notes, ..Collected::default() }
    }

    /// The readings that belong to this tick or an earlier one, in an order that does not depend on the slice's.
    fn due(&mut self, readings: &[Reading], round: &mut Round) -> Vec<Reading> {
        let is_evidence = |reading: &&Reading| reading.sampled_at_ms >= round.bounds.start_ms;
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(readings.iter().filter(is_evidence).cloned());
        all.sort_by(|a, b| (&a.source, a.arm, a.sampled_at_ms).cmp(&(&b.source, b.arm, b.sampled_at_ms)));
        let (due, mut later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|reading| reading.sampled_at_ms <= round.until_ms);
        later.dedup_by(|b, a| (&a.source, a.arm) == (&b.source, b.arm));
        let excess = later.len().saturating_sub(2 * SOURCES_MAX);
        later.truncate(2 * SOURCES_MAX);
        reject(&mut round.collected.notes, excess);
        self.waiting = later;
        due
    }

    /// Takes one reading; whether its source answered.
    fn take(&mut self, reading: &Reading, round: &mut Round) -> bool {
        if !self.sources.contains_key(&reading.source) && self.sources.len() >= SOURCES_MAX {
            reject(&mut round.collected.notes, 1);
            return false;
        }
        if reading.signals.contains_key(&SignalName::new_sessions()) && self.boots.len() < SOURCES_MAX {
            self.boots.insert((reading.source.clone(), reading.started_at_ms));
        }
        let source = self.sources.entry(reading.source.clone()).or_default();
        let first_round = !source.has_answered && reading.started_at_ms < round.bounds.start_ms;
        let counted = match reading.arm {
            Arm::Candidate => &mut source.candidate,
            Arm::Stable => &mut source.stable,
        };
        self.pairing.hear(reading.arm);
        for Taken { name, increase, resets } in counted.take(reading, first_round, round) {
            self.pairing.reset(name, resets);
            if let Some(increase) = increase {
                self.pairing.add(reading.arm, name, &increase);
            }
        }
        true
    }
}

/// What a reading says of one signal.
struct Taken<'a> {
    name: &'a SignalName,
    increase: Option<Signal>,
    /// How many of its counters began anew.
    resets: u64,
}

impl Counted {
    fn take<'a>(&mut self, reading: &'a Reading, first_round: bool, round: &mut Round) -> Vec<Taken<'a>> {
        let notes = &mut round.collected.notes;
        if let Some(known) = self.sampled_at_ms.filter(|known| reading.sampled_at_ms <= *known) {
            if reading.sampled_at_ms == known {
                self.tracks.values_mut().for_each(|track| track.stay(round.until_ms));
            }
            return Vec::new();
        }
        self.sampled_at_ms = Some(reading.sampled_at_ms);
        let mut taken = Vec::new();
        for (name, signal) in &reading.signals {
            if !self.tracks.contains_key(name) && self.tracks.len() >= SIGNALS_MAX {
                reject(notes, 1);
                continue;
            }
            let track = self.tracks.entry(name.clone()).or_default();
            let sample = (signal, reading.sampled_at_ms, reading.started_at_ms);
            let before = notes.resets;
            let increase = track.advance(sample, first_round, round.bounds, notes);
            taken.push(Taken { name, increase, resets: notes.resets - before });
        }
        taken
    }
}

fn reject(notes: &mut Notes, readings: usize) {
    notes.rejected = notes.rejected.saturating_add(u64::try_from(readings).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests;
