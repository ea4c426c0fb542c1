//! The progress deadline. There it is about pods; here it is how long a judged step may take, and nothing where nothing is judged.

use judge::Span;

use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;

/// How long the judged step may take until it is decided, where the Canary does not say.
const PROGRESS_DEADLINE: Span = Span::from_secs(600);

const THERE: &str =
    "in Flagger it is how long pods may take to become ready, which is `prepare_limit` here, 10m unless you write it";

/// The deadline, if the Canary says one.
pub(super) struct Deadline {
    place: Place,
    said: Option<Span>,
}

impl Deadline {
    pub(super) fn read(spec: &mut Fields) -> Result<Self, Error> {
        let place = spec.place().field("progressDeadlineSeconds");
        Ok(Self { place, said: spec.span("progressDeadlineSeconds")? })
    }

    /// The term of the plan that comes of it.
    pub(super) fn term(&self, interval: Span, notes: &mut Vec<Note>) -> (&'static str, String, String) {
        self.note("became how long a step may take in all until it is decided", notes);
        let whole = self.said.unwrap_or(PROGRESS_DEADLINE);
        let budget = Span(whole.0.saturating_sub(interval.0)).max(interval);
        let whose = self.said.map_or("Flagger's", |_| "The");
        let why = format!(
            "{whose} progress deadline of {whole}, less one interval, but at least one: what a step has not decided by then goes back."
        );
        ("inconclusive_budget", budget.to_string(), why)
    }

    /// Nothing is judged, so nothing comes of it.
    pub(super) fn idle(&self, notes: &mut Vec<Note>) {
        self.note("has no use here, because nothing is judged", notes);
    }

    fn note(&self, became: &str, notes: &mut Vec<Note>) {
        notes.extend(self.said.map(|said| self.place.note(format!("({said}) {became}; {THERE}"))));
    }
}
