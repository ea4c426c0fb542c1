//! Tables of atomics, allocated with the first count.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::StatusCode;
use judge::edges::{CELL_COUNT, bucket_of};

/// A histogram over the fixed edges of the judge.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: OnceLock<Box<[AtomicU64]>>,
    sum_us: AtomicU64,
}

impl Cells {
    pub(crate) fn add(&self, age: Duration) {
        let cells = self.cells.get_or_init(|| zeros(CELL_COUNT));
        cells[bucket_of(age.as_secs_f64() * 1000.0)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(u64::try_from(age.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn read(&self) -> judge::Counts {
        let mut counts = judge::Counts::new();
        for (cell, events) in self.cells.get().into_iter().flat_map(|cells| cells.iter()).enumerate() {
            counts.add_events(cell, events.load(Relaxed));
        }
        counts
    }

    /// The sum of all that was added, in seconds.
    pub(crate) fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_us.load(Relaxed)).as_secs_f64()
    }
}

/// Answers by status code.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    /// 1xx to 5xx, a table of a hundred each.
    classes: [OnceLock<Box<[AtomicU64]>>; 5],
    beyond: AtomicU64,
}

impl Codes {
    pub(crate) fn add(&self, status: StatusCode) {
        let code = usize::from(status.as_u16());
        match self.classes.get((code / 100).wrapping_sub(1)) {
            Some(class) => class.get_or_init(|| zeros(100))[code % 100].fetch_add(1, Relaxed),
            None => self.beyond.fetch_add(1, Relaxed),
        };
    }

    /// The codes that occurred, ascending; 600 stands for everything above 599.
    pub(crate) fn read(&self) -> Vec<(u16, u64)> {
        let mut codes = Vec::new();
        for (class, base) in self.classes.iter().zip((100u16..).step_by(100)) {
            let counts = class.get().into_iter().flat_map(|counts| counts.iter());
            codes.extend((base..).zip(counts.map(|count| count.load(Relaxed))).filter(|(_, count)| *count > 0));
        }
        let beyond = self.beyond.load(Relaxed);
        codes.extend((beyond > 0).then_some((600, beyond)));
        codes
    }
}

fn zeros(length: usize) -> Box<[AtomicU64]> {
    std::iter::repeat_with(AtomicU64::default).take(length).collect()
}
