//! What goes wrong, and how often. Every fault is drawn here and counted, so that a run can say what it has seen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

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
    /// How many of a thousand messages, acknowledgements and answers get lost.
    lossy: usize,
    /// Faults that happened, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Nothing goes wrong any more.
    pub(crate) is_quiet: bool,
}

/// A fate that the places of the code under test draw from as well.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) fate: Rc<RefCell<Fate>>,
    died: Rc<Notify>,
}

impl Shared {
    /// The fate of a seed, from now on that of everything on this thread. The mix of faults is drawn too: some runs die often and
    /// others lose much.
    pub(crate) fn begin(seed: u64) -> Self {
        let mut draw = Draw(seed);
        let (deadly, lossy) = (draw.below(60), draw.below(250));
        let fate = Fate { seed, draw, deadly, lossy, faults: BTreeMap::new(), is_quiet: false };
        let this = Self { fate: Rc::new(RefCell::new(fate)), died: Rc::default() };
        let of_places = this.clone();
        failpoint::die_where(move |place| of_places.is_deadly(place));
        this
    }

    fn is_deadly(&self, place: &'static str) -> bool {
        let mut fate = self.fate.borrow_mut();
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
        let mut fate = self.fate.borrow_mut();
        let per_mille = fate.lossy;
        fate.happens(per_mille, what)
    }

    /// Whether something rare happens.
    pub(crate) fn happens(&self, per_mille: usize, what: &'static str) -> bool {
        self.fate.borrow_mut().happens(per_mille, what)
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.fate.borrow_mut().draw.below(end)
    }

    /// One of them, if there is one.
    pub(crate) fn one<T: Copy>(&self, of: &[T]) -> Option<T> {
        self.fate.borrow_mut().draw.one(of).copied()
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
