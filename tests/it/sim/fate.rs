//! What goes wrong, and how often. Every fault is drawn here and counted, so that a run can say what it has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::failpoint;
use tokio::sync::Notify;

use super::draw::Draw;

/// The fate of one run.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) seed: u64,
    pub(crate) draw: Draw,
    /// How many of a thousand named places, at each of which a process may die, are deadly.
    deadly: usize,
    /// How many of a thousand publications, acknowledgements and answers get lost.
    lossy: usize,
    /// How many of a thousand messages come again after they were settled.
    repeating: usize,
    /// Faults that happened, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Nothing goes wrong any more.
    pub(crate) is_quiet: bool,
}

/// A fate that the places of the code under test draw from as well.
#[derive(Clone)]
pub(crate) struct Shared {
    fate: Arc<Mutex<Fate>>,
    died: Arc<Notify>,
}

impl Shared {
    /// The fate of a seed, from now on that of everything on this thread. The mix of faults is drawn too: some runs die often and
    /// others lose much.
    pub(crate) fn begin(seed: u64) -> Self {
        let mut draw = Draw(seed);
        let (deadly, lossy) = (draw.below(80), draw.below(400));
        let repeating = if draw.below(8) == 0 { 800 } else { draw.below(400) };
        let fate = Fate { seed, draw, deadly, lossy, repeating, faults: BTreeMap::new(), is_quiet: false };
        let this = Self { fate: Arc::new(Mutex::new(fate)), died: Arc::default() };
        let of_places = this.clone();
        // A relay dies between its turns.
        failpoint::die_where(move |place| !place.starts_with("relay_") && of_places.is_deadly(place));
        this
    }

    pub(crate) fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap()
    }

    fn is_deadly(&self, place: &'static str) -> bool {
        let mut fate = self.fate();
        let per_mille = fate.deadly;
        let dies = fate.happens(per_mille, place);
        if dies {
            self.died.notify_one();
        }
        dies
    }

    /// What `work` comes to, or nothing when its process dies meanwhile: then it goes no further, and what it held open is undone.
    pub(crate) async fn survives<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! { biased; done = work => Some(done), () = self.died.notified() => None }
    }

    /// Whether something gets lost.
    pub(crate) fn loses(&self, what: &'static str) -> bool {
        let mut fate = self.fate();
        let per_mille = fate.lossy;
        fate.happens(per_mille, what)
    }

    /// Whether something that was settled comes again.
    pub(crate) fn repeats(&self, what: &'static str) -> bool {
        let mut fate = self.fate();
        let per_mille = fate.repeating;
        fate.happens(per_mille, what)
    }

    /// Whether something rare happens.
    pub(crate) fn happens(&self, per_mille: usize, what: &'static str) -> bool {
        self.fate().happens(per_mille, what)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.fate().is_quiet
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.fate().draw.below(end)
    }

    /// One of them, if there is one.
    pub(crate) fn one<T: Copy>(&self, of: &[T]) -> Option<T> {
        self.fate().draw.one(of).copied()
    }
}

impl Fate {
    fn happens(&mut self, per_mille: usize, what: &'static str) -> bool {
        let happens = !self.is_quiet && self.draw.chance(per_mille);
        if happens {
            *self.faults.entry(what).or_default() += 1;
        }
        happens
    }
}
