//! A histogram over the fixed latency edges, kept sparse: most cells of a tick are empty.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::edges::{CELL_COUNT, bucket_of};

/// Events per cell; written as a list of `[cell, events]` with ascending cells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Counts(Vec<(u16, u64)>);

impl Counts {
    /// Nothing counted.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Counts from one number per cell; what lies beyond the last cell is put into it.
    #[must_use]
    pub fn from_dense(cells: &[u64]) -> Self {
        let mut counts = Self::new();
        for (cell, events) in cells.iter().enumerate() {
            counts.add_events(cell, *events);
        }
        counts
    }

    /// Counts one latency, in milliseconds.
    pub fn record(&mut self, ms: f64) {
        self.add_events(bucket_of(ms), 1);
    }

    /// Adds events to a cell; a cell beyond the last one is the last one.
    pub fn add_events(&mut self, cell: usize, events: u64) {
        if events == 0 {
            return;
        }
        let cell = u16::try_from(cell.min(CELL_COUNT - 1)).unwrap_or(u16::MAX);
        match self.0.binary_search_by_key(&cell, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(events),
            Err(at) => self.0.insert(at, (cell, events)),
        }
    }

    /// Adds all events of another histogram.
    pub fn add(&mut self, other: &Self) {
        // Both ascend, so one walk finds every place.
        let mut at = 0;
        for (cell, events) in &other.0 {
            while self.0.get(at).is_some_and(|(known, _)| known < cell) {
                at += 1;
            }
            match self.0.get_mut(at) {
                Some((known, count)) if known == cell => *count = count.saturating_add(*events),
                _ => self.0.insert(at, (*cell, *events)),
            }
        }
    }

    /// The cells that hold events, ascending, with their events.
    pub fn cells(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().map(|(cell, events)| (usize::from(*cell), *events))
    }

    /// All events.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, events)| sum.saturating_add(*events))
    }

    /// One number per cell, the last one for what lies above all edges.
    #[must_use]
    pub fn dense(&self) -> Vec<f64> {
        let mut dense = vec![0.0; CELL_COUNT];
        for (cell, events) in self.cells() {
            dense[cell] = events as f64;
        }
        dense
    }

    /// The events since an earlier reading of the same counters; none if a cell has become smaller, which means a reset.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut rest = Self::new();
        let mut earlier = earlier.0.iter().peekable();
        for (cell, events) in &self.0 {
            let mut before = 0;
            if let Some((known, count)) = earlier.peek()
                && known <= cell
            {
                if known < cell {
                    return None;
                }
                before = *count;
                earlier.next();
            }
            rest.add_events(usize::from(*cell), events.checked_sub(before)?);
        }
        earlier.next().is_none().then_some(rest)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut counts = Self::new();
        for (cell, events) in Vec::<(u16, u64)>::deserialize(from)? {
            let cell = usize::from(cell);
            if cell >= CELL_COUNT {
                return Err(de::Error::custom(format!("no histogram cell {cell}: there are {CELL_COUNT}")));
            }
            counts.add_events(cell, events);
        }
        Ok(counts)
    }
}
