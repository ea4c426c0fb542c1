//! The numbers of a tick as a channel reads them. What makes no sense is as good as absent: it is no evidence.

use super::log_e::{Events, Sums, square_bound};
use super::plan::{Channel, View};
use crate::edges::LATENCY_EDGES_MS;
use crate::murmur::murmur3;
use crate::signal::Signal;
use crate::tick::{Arm, Tick};

/// More bad events than events, by more than rounding, are nonsense.
const ROUNDING: f64 = 1e-9;

/// Numbers beyond this are nonsense, and their squares would leave what a float can hold.
const NUMBER_MAX: f64 = 1e60;

/// Both arms of a channel in a tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a> {
    view: View,
    candidate: Option<&'a Signal>,
    stable: Option<&'a Signal>,
    /// All events of the histograms: they are added up once.
    totals: [f64; 2],
}

impl<'a> Numbers<'a> {
    /// A histogram with other edges than those that are `known`, or than stable's, can't be compared: it is as good as absent.
    pub(crate) fn of(channel: &Channel, tick: &'a Tick, known: Option<&[f64]>) -> Self {
        let arm = |arm| tick.arm(arm).get(&channel.signal).filter(|signal| is_usable(signal));
        let fits = |signal: &&Signal, known: Option<&[f64]>| known.is_none_or(|known| edges(signal) == Some(known));
        let stable = arm(Arm::Stable).filter(|signal| fits(signal, known));
        let known = known.or_else(|| stable.and_then(edges));
        let candidate = arm(Arm::Candidate).filter(|signal| fits(signal, known));
        let totals = match channel.view {
            View::Histogram => [candidate, stable].map(|signal| signal.and_then(Signal::exposure).unwrap_or(0.0)),
            _ => [0.0; 2],
        };
        Self { view: channel.view, candidate, stable, totals }
    }

    /// Bad events of an arm; of a histogram those above an edge.
    pub(crate) fn events(&self, arm: Arm, edge: Option<usize>) -> Events {
        self.arm(arm).map(|signal| events(signal, self.view, (edge, Some(self.total(arm))))).unwrap_or_default()
    }

    /// Sums of an arm.
    pub(crate) fn sums(&self, arm: Arm) -> Sums {
        self.arm(arm).map(|signal| sums(signal, self.view)).unwrap_or_default()
    }

    /// Exposure of an arm.
    pub(crate) fn exposure(&self, arm: Arm) -> f64 {
        match self.view {
            View::Sums { .. } => self.sums(arm).n,
            View::Events { .. } | View::Occurrences => self.events(arm, None).n,
            View::Histogram => self.total(arm),
        }
    }

    /// The edges of the histogram that an arm has.
    pub(crate) fn edges(&self) -> Option<&'a [f64]> {
        self.stable.or(self.candidate).and_then(edges)
    }

    /// The bound at which values were cut.
    pub(crate) fn cap(&self) -> Option<f64> {
        [self.candidate, self.stable].into_iter().flatten().find_map(|signal| match signal {
            Signal::Mean { cap, .. } => *cap,
            _ => None,
        })
    }

    /// The stable arm's signal.
    pub(crate) const fn stable(&self) -> Option<&'a Signal> {
        self.stable
    }

    const fn total(&self, arm: Arm) -> f64 {
        match arm {
            Arm::Candidate => self.totals[0],
            Arm::Stable => self.totals[1],
        }
    }

    const fn arm(&self, arm: Arm) -> Option<&'a Signal> {
        match arm {
            Arm::Candidate => self.candidate,
            Arm::Stable => self.stable,
        }
    }
}

/// The stable series of a channel in a tick: the hash of each key, and its events.
pub(crate) fn series<'a>(
    channel: &'a Channel,
    tick: &'a Tick,
    (edge, known): (Option<usize>, Option<&'a [f64]>),
) -> impl Iterator<Item = (u32, Events)> + Clone + use<'a> {
    let all = tick.stable_series.get(&channel.signal);
    all.into_iter().flatten().map(move |(key, signal)| {
        let is_blind = matches!(channel.view, View::Histogram) && (edge.is_none() || edges(signal) != known);
        let found =
            if is_blind || !is_usable(signal) { Events::default() } else { events(signal, channel.view, (edge, None)) };
        (murmur3(key.as_bytes()), found)
    })
}

fn is_usable(signal: &Signal) -> bool {
    let is_small = match signal {
        Signal::Count { k, n } => k.max(*n) <= NUMBER_MAX,
        Signal::Mean { n, s1, s2, .. } => n.max(s1.abs()).max(*s2) <= NUMBER_MAX,
        Signal::Buckets { counts, .. } => counts.iter().sum::<f64>() <= NUMBER_MAX,
        Signal::Spread { values } => values.total() <= NUMBER_MAX,
        Signal::Histogram { .. } | Signal::Gauge { .. } => true,
    };
    is_small && signal.is_sound()
}

/// The edges of a histogram.
pub(crate) fn edges(signal: &Signal) -> Option<&[f64]> {
    match signal {
        Signal::Histogram { .. } => Some(&LATENCY_EDGES_MS),
        Signal::Buckets { edges, .. } => Some(edges),
        _ => None,
    }
}

/// Adds a histogram's cells.
pub(crate) fn add_cells(counts: &mut [f64], signal: &Signal) {
    let mut add = |at: usize, events: f64| {
        if let Some(count) = counts.get_mut(at) {
            *count += events;
        }
    };
    match signal {
        Signal::Histogram { counts } => counts.cells().for_each(|(at, events)| add(at, events as f64)),
        Signal::Buckets { counts, .. } => counts.iter().enumerate().for_each(|(at, events)| add(at, *events)),
        _ => {}
    }
}

/// Bad events of a signal, as a channel reads it.
pub(crate) fn read(signal: &Signal, view: View) -> Events {
    events(signal, view, (None, None))
}

/// Of a histogram the events above an edge; whoever knows how many there are at all says so.
fn events(signal: &Signal, view: View, (edge, total): (Option<usize>, Option<f64>)) -> Events {
    let found = match (signal, view) {
        (Signal::Count { k, n } | Signal::Mean { s1: k, n, .. }, View::Events { complement }) => {
            Events { k: if complement { n - k } else { *k }, n: *n }
        }
        (Signal::Count { k, n }, View::Occurrences) => return Events { k: *k, n: *n },
        (Signal::Histogram { counts }, View::Histogram) => {
            let above = |at: usize| edge.is_some_and(|edge| at > edge);
            let k: f64 = counts.cells().filter(|(at, _)| above(*at)).map(|(_, events)| events as f64).sum();
            Events { k, n: total.unwrap_or_else(|| counts.total() as f64) }
        }
        (Signal::Buckets { counts, .. }, View::Histogram) => {
            let k = edge.map_or(0.0, |edge| counts.iter().skip(edge + 1).sum());
            Events { k, n: total.unwrap_or_else(|| counts.iter().sum()) }
        }
        _ => Events::default(),
    };
    let is_sound = found.k >= -ROUNDING * found.n && found.k <= found.n * (1.0 + ROUNDING);
    if is_sound { Events { k: found.k.clamp(0.0, found.n), n: found.n } } else { Events::default() }
}

fn sums(signal: &Signal, view: View) -> Sums {
    let View::Sums { bounds, squareless, .. } = view else { return Sums::default() };
    let found = sums_as_told(signal, view);
    let cap = if let Signal::Mean { cap, .. } = signal { *cap } else { None };
    let Some((lo, hi)) = bounds.or_else(|| Some((0.0, cap?))) else { return found };
    let (n, most) = (found.n, square_bound(found.n, found.s1, lo, hi));
    let slack = ROUNDING * n * (hi - lo);
    if found.s1 < n * lo - slack || found.s1 > n * hi + slack {
        return Sums::default();
    }
    if squareless {
        return Sums { s2: most, ..found };
    }
    if found.s2 <= most + slack * lo.abs().max(hi.abs()) { found } else { Sums::default() }
}

fn sums_as_told(signal: &Signal, view: View) -> Sums {
    match (signal, view) {
        (Signal::Mean { n, s1, s2, .. }, View::Sums { complement: false, .. }) => Sums { n: *n, s1: *s1, s2: *s2 },
        // Of zeros and ones the squares are the values.
        (Signal::Count { .. } | Signal::Mean { .. }, View::Sums { complement, .. }) => {
            let Events { k, n } = events(signal, View::Events { complement }, (None, None));
            Sums { n, s1: k, s2: k }
        }
        _ => Sums::default(),
    }
}
