//! Flagger: a `Canary` and the `MetricTemplate`s that it names.
//!
//! Flagger looks once an interval and counts failed looks over all checks, so all checks share one counter here. After the last weight
//! it copies the new version over the old one; here versions are not copied, and a last step of 100 % stands for that.

use judge::Span;
use rollout::Share;
use serde_json::Value;

use crate::document::{Beside, one_of};
use crate::draft::{Draft, Step};
use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;
use crate::word::policy_name;

mod deadline;
mod hooks;
mod metric;
mod metrics;
mod reasons;
mod weights;

use deadline::Deadline;
use hooks::Gates;
use metrics::{Metrics, Values};

const INTERVAL: Span = Span::from_secs(60);

/// Flagger looks no more often than that.
const INTERVAL_MIN: Span = Span::from_secs(10);

pub(crate) fn import(values: Vec<(Value, Place)>, notes: &mut Vec<Note>) -> Result<Draft, Error> {
    let (canary, mut templates) = one_of("Canary", values)?;
    let (told, name) = (canary.told(), policy_name(&canary.name));
    let (canary_name, namespace) = (canary.name.clone(), canary.namespace.clone());
    let mut spec = canary.spec(notes)?;
    let values = Values::of(canary_name, namespace, &spec);
    let deadline = Deadline::read(&mut spec)?;
    let is_skipped = spec.truth("skipAnalysis")?;
    let analysis = match spec.map("analysis")? {
        Some(analysis) => Some(analysis),
        None => spec.map("canaryAnalysis")?,
    };
    let origin = vec![format!("Made by `tidegate import flagger` from {told}.")];
    let mut draft = Draft { origin, name, steps: Vec::new(), checks: Vec::new(), terms: Vec::new() };
    match analysis {
        Some(analysis) if !is_skipped => analysed(analysis, (&mut draft, &deadline), (&values, &mut templates), notes)?,
        skipped => {
            let place = skipped.map_or_else(|| spec.place().field("analysis"), |analysis| analysis.place().clone());
            notes.push(
                place.note(
                    "is skipped, there as here: everything goes to the new version at once, and nothing is judged",
                ),
            );
            deadline.idle(notes);
            draft.steps.push(Step::new(Share::WHOLE, Span::default()));
        }
    }
    spec.rest(reasons::OF_SPEC, notes);
    templates.rest(notes);
    Ok(draft)
}

fn analysed(
    mut analysis: Fields,
    (draft, deadline): (&mut Draft, &Deadline),
    (values, templates): (&Values, &mut Beside),
    notes: &mut Vec<Note>,
) -> Result<(), Error> {
    let place = analysis.place().clone();
    let interval = analysis.span("interval")?.unwrap_or(INTERVAL).max(INTERVAL_MIN);
    let threshold = analysis.count("threshold")?.unwrap_or_default().max(1);
    draft.steps = weights::steps(&mut analysis, interval, notes)?;
    Gates::read(&mut analysis, notes)?.into_steps(&mut draft.steps);
    let metrics = Metrics { interval, threshold, values };
    draft.checks = metrics.checks(&mut analysis, templates, notes)?;
    if draft.checks.is_empty() {
        notes.push(place.field("metrics").note(
            "NOTHING IS JUDGED: no check is left, so each step only runs its time; write checks of your own before you use this",
        ));
        deadline.idle(notes);
    } else {
        draft.origin.push(meaning(threshold));
        draft.terms.push(deadline.term(interval, notes));
        draft.terms.push(("warmup", "0s".to_owned(), String::new()));
        notes.push(place.field("metrics").note(
            "what has no data holds the rollout here until the budget is spent; in Flagger it is a failed check and counts",
        ));
    }
    analysis.rest(reasons::OF_ANALYSIS, notes);
    Ok(())
}

fn meaning(threshold: u32) -> String {
    let times = if threshold == 1 { "once".to_owned() } else { format!("{threshold} times in all") };
    format!(
        "Back when checks have failed {times}, as there, counted over the whole rollout and over all checks; one look counts once, \
         however many of them fail."
    )
}
