//! Argo Rollouts: a `Rollout` and the `AnalysisTemplate`s that it names.
//!
//! There an analysis runs beside the steps or is one of them, and only a failed one ends the rollout. Here checks belong to the plan,
//! hold in every step, and a step is passed on proof. A pause without a time is a person's word, and so is a gate.

use judge::Span;
use rollout::Share;
use serde_json::Value;

use crate::document::one_of;
use crate::draft::{Commented, Draft, Step};
use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;
use crate::word::policy_name;

mod analysis;
mod condition;
mod dry;
mod metric;
mod reasons;
mod walk;

use analysis::Analyses;
use walk::Walk;

pub(crate) use condition::Condition;

/// How often a check is judged that does not say.
const INTERVAL: Span = Span::from_secs(60);

pub(crate) fn import(values: Vec<(Value, Place)>, notes: &mut Vec<Note>) -> Result<Draft, Error> {
    let (rollout, templates) = one_of("Rollout", values)?;
    let (told, name) = (rollout.told(), policy_name(&rollout.name));
    let mut spec = rollout.spec(notes)?;
    let ready = ready(&mut spec, notes)?;
    let mut canary = canary(&mut spec, notes)?;
    let mut analyses = Analyses::of(templates);
    if let Some(background) = canary.map("analysis")? {
        analyses.run(background, notes)?;
    }
    let place = canary.place().field("steps");
    let mut walk = Walk::of(&canary);
    for step in canary.maps("steps")? {
        walk.step(step, &mut analyses, notes)?;
    }
    let steps = walk.finish(&place, notes);
    canary.rest(reasons::OF_CANARY, notes);
    spec.rest(reasons::OF_SPEC, notes);
    let checks = analyses.finish(notes);
    let mut draft = Draft {
        origin: vec![format!("Made by `tidegate import argo` from {told}.")],
        name,
        steps,
        checks,
        terms: ready,
    };
    judged(&mut draft, &place, notes);
    Ok(draft)
}

/// The strategy, if it is one that goes step by step.
fn canary(spec: &mut Fields, notes: &mut Vec<Note>) -> Result<Fields, Error> {
    let missing = |place: Place| {
        place.refuse("missing: write `strategy: {canary: {steps: [{setWeight: 10}, {pause: {duration: 10m}}]}}`")
    };
    let mut strategy = spec.map("strategy")?.ok_or_else(|| missing(spec.place().field("strategy")))?;
    if let Some((_, place)) = strategy.take("blueGreen") {
        return Err(place.refuse(
            "switches everybody at once, and is judged before anybody asks; here traffic moves in steps, and what users ask is \
             judged: write `canary` with `steps`",
        ));
    }
    let canary = strategy.map("canary")?.ok_or_else(|| missing(strategy.place().field("canary")))?;
    strategy.rest(&[], notes);
    Ok(canary)
}

/// How long pods may take to become ready.
fn ready(spec: &mut Fields, notes: &mut Vec<Note>) -> Result<Vec<(&'static str, String, String)>, Error> {
    let place = spec.place().field("progressDeadlineSeconds");
    let is_aborted = spec.truth("progressDeadlineAbort")?;
    let Some(deadline) = spec.span("progressDeadlineSeconds")? else { return Ok(Vec::new()) };
    if !is_aborted {
        notes.push(place.note("became `prepare_limit`, after which the rollout ends; there it is only reported, without `progressDeadlineAbort`"));
    }
    Ok(vec![(
        "prepare_limit",
        deadline.to_string(),
        "The progress deadline: until then the new version must be ready.".to_owned(),
    )])
}

/// What a plan with checks needs, and what one without them must say.
fn judged(draft: &mut Draft, place: &Place, notes: &mut Vec<Note>) {
    if draft.checks.is_empty() {
        notes.push(place.note(
            "NOTHING IS JUDGED: no check is left, so each step only runs its time; write checks of your own before you use this",
        ));
        return;
    }
    let longest = draft.checks.iter().map(|Commented { check, .. }| check.interval.unwrap_or(INTERVAL)).max();
    let least = longest.unwrap_or(INTERVAL);
    for step in draft.steps.iter_mut().filter(|step| step.dwell.0 == 0 && step.share < Share::WHOLE) {
        let share = step.share;
        notes.push(place.note(format!(
            "{share} has no time of its own there; it is observed for {least} here, so that each check is judged"
        )));
        *step = Step { dwell: least, ..step.clone() };
    }
    draft.terms.push(("warmup", "0s".to_owned(), String::new()));
    let why = "What can't be decided waits for a person, as an inconclusive analysis does there.";
    draft.terms.push(("on_inconclusive", "gate".to_owned(), why.to_owned()));
    notes.push(place.note(
        "a step whose checks fail, or have no data, waits here until they pass, at most twice its time longer, and then for a \
         person; there the steps go on until an analysis has failed",
    ));
}
