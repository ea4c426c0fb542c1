//! The steps of a canary, walked from first to last: weights and pauses become steps with a dwell.

use judge::Span;
use rollout::Share;

use super::analysis::Analyses;
use super::reasons;
use crate::draft::Step;
use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;

/// All of the traffic, where the source does not say.
const WHOLE: f64 = 100.0;

/// What has been walked so far.
pub(super) struct Walk {
    steps: Vec<Step>,
    /// Whether a person is asked before the next step.
    gate: bool,
    /// All of the traffic, as the weights count it.
    whole: f64,
}

impl Walk {
    pub(super) fn of(canary: &Fields) -> Self {
        let whole = canary.peek_value(&["trafficRouting", "maxTrafficWeight"]).and_then(serde_json::Value::as_f64);
        Self { steps: Vec::new(), gate: false, whole: whole.filter(|whole| *whole > 0.0).unwrap_or(WHOLE) }
    }

    pub(super) fn step(
        &mut self,
        mut step: Fields,
        analyses: &mut Analyses,
        notes: &mut Vec<Note>,
    ) -> Result<(), Error> {
        let place = step.place().clone();
        if let Some(weight) = step.number("setWeight")? {
            let place = place.field("setWeight");
            let share = Share::of_percent(weight / self.whole * 100.0).map_err(|why| place.refuse(why))?;
            self.weigh(share, &place, notes);
        }
        if let Some(mut pause) = step.map("pause")? {
            match pause.span("duration")? {
                Some(time) => self.wait(time, &place.field("pause"), notes),
                None => self.gate = true,
            }
            pause.rest(&[], notes);
        }
        if let Some(analysis) = step.map("analysis")? {
            let time = analyses.run(analysis, notes)?;
            notes.push(
                place
                    .field("analysis")
                    .note("is judged in every step here, and its time was added to that of its step"),
            );
            self.wait(time, &place.field("analysis"), notes);
        }
        step.rest(reasons::OF_STEP, notes);
        Ok(())
    }

    fn weigh(&mut self, share: Share, place: &Place, notes: &mut Vec<Note>) {
        let before = self.steps.last().map_or(Share::ZERO, |step| step.share);
        if share == Share::ZERO {
            notes.push(place.note("sends the new version nothing, so it was left out: a step has a share"));
        } else if share < before {
            notes.push(place.note(format!(
                "({share}) was left out: a share never falls from the {before} before it, except to nothing"
            )));
        } else {
            self.push(share);
        }
    }

    fn wait(&mut self, time: Span, place: &Place, notes: &mut Vec<Note>) {
        let Some(share) = self.steps.last().map(|step| step.share) else {
            return notes.push(place.note("was left out: before the first weight nothing is sent to the new version"));
        };
        if self.gate {
            self.push(share);
        }
        if let Some(step) = self.steps.last_mut() {
            step.dwell = Span(step.dwell.0.saturating_add(time.0));
        }
    }

    fn push(&mut self, share: Share) {
        self.steps.push(Step { gate: std::mem::take(&mut self.gate), ..Step::new(share, Span::default()) });
    }

    /// All steps, the last one of 100 %.
    pub(super) fn finish(mut self, place: &Place, notes: &mut Vec<Note>) -> Vec<Step> {
        if self.steps.is_empty() {
            notes.push(place.note("none sets a weight, so everything goes to the new version in one step; there pods are replaced one by one"));
        }
        let is_open = self.steps.last().is_none_or(|last| last.share < Share::WHOLE);
        if is_open || self.gate {
            self.push(Share::WHOLE);
        }
        if self.steps.iter().any(|step| step.gate) {
            notes.push(place.note("a pause without a time is a gate here: a person says `tidegate approve`, and after a day without an answer the traffic goes back"));
        }
        self.steps
    }
}
