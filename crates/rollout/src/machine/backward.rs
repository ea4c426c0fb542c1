//! Turning back, from every stage that can, and the stage that waits until the traffic is back.

use judge::Span;
use statig::Outcome;

use super::Draft;
use super::anew;
use super::draft::AGAIN_AT_MOST;
use crate::decide::Refusal;
use crate::fact::{Fact, Verb, What};
use crate::intent::Intent;
use crate::row::Rollout;
use crate::stage::Stage;

/// A retreat that is not applied by then is told to people,
pub(super) const RETREAT_TOLD: Span = Span(2_000);
/// and again this often, in milliseconds.
const RETREAT_PAGE_MS: i64 = 15 * 60 * 1000;

/// How a rollout that turns back will end, and why.
pub(super) struct End {
    reason: String,
    /// The final stage once the traffic is back.
    after: Stage,
    /// The final stage when it never had traffic.
    unstarted: Stage,
}

impl End {
    pub(super) fn system(reason: &str) -> Self {
        Self { reason: reason.to_owned(), after: Stage::RolledBack, unstarted: Stage::Rejected }
    }

    /// A wait for a person that is over.
    pub(super) fn gate(reason: &str, unstarted: Stage) -> Self {
        Self { reason: reason.to_owned(), after: Stage::RolledBack, unstarted }
    }

    /// `breach: …` or, after the budget, `inconclusive: …`.
    pub(super) fn verdict(result: &str, reason: Option<&str>) -> Self {
        let cause = if result == "breach" || result == "degraded" { result } else { "inconclusive" };
        let reason = reason.filter(|reason| *reason != cause);
        Self::system(&reason.map_or_else(|| cause.to_owned(), |reason| format!("{cause}: {reason}")))
    }
}

/// Turns back: traffic first where there was any, a final stage at once where there was none.
pub(super) fn turn_back(draft: &mut Draft, fact: &Fact, end: &End) -> Outcome<Stage> {
    if !draft.has_way_back() {
        return draft.refuse(Refusal::NothingToRestore);
    }
    draft.because(Some(end.reason.clone()));
    if draft.row().had_split() { draft.enter_retreating(end.after, fact) } else { draft.enter_final(end.unstarted) }
}

/// What a person did, with why.
pub(super) fn said(word: &str, fact: &Fact) -> String {
    fact.reason.as_ref().map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}"))
}

/// What can stop a rollout that goes forward or waits.
pub(super) fn stoppable(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    let (stage, attempt, generation) = (draft.row().stage, draft.row().attempt, draft.row().generation);
    let had_split = draft.row().had_split();
    match &fact.what {
        What::Commanded { verb: Verb::Rollback } => turn_back(
            draft,
            fact,
            &End { reason: said("rollback", fact), after: Stage::RolledBack, unstarted: Stage::Cancelled },
        ),
        What::Commanded { verb: Verb::Cancel } => turn_back(
            draft,
            fact,
            &End { reason: said("cancel", fact), after: Stage::Cancelled, unstarted: Stage::Cancelled },
        ),
        What::VerdictReached { attempt: of, action: judge::Decision::Rollback, result, reason }
            if *of == attempt && had_split =>
        {
            turn_back(draft, fact, &End::verdict(result, reason.as_deref()))
        }
        // Its attempt is that of the preparation, which is over.
        What::WorkloadFailed { reason, passing: false, .. } if !matches!(stage, Stage::Queued | Stage::Preparing) => {
            turn_back(draft, fact, &End::system(&format!("workload_failed: {reason}")))
        }
        What::Overtaken { by } if !matches!(stage, Stage::Promoting | Stage::Baking) => turn_back(
            draft,
            fact,
            &End { reason: format!("superseded by {by}"), after: Stage::Superseded, unstarted: Stage::Superseded },
        ),
        What::LeaseExpired { generation: of } if *of == generation && had_split => anew::lease_expired(draft, fact),
        What::RouteDrifted { generation: of, found } if *of == generation && had_split => {
            anew::drifted(draft, fact, *found)
        }
        What::StopSeen { generation: of } if *of == generation && had_split => {
            turn_back(draft, fact, &End::system(&said("stopped", fact)))
        }
        What::EvaluationFinished { .. } => draft.keep(None),
        _ => Outcome::Super,
    }
}

pub(super) fn retreating(draft: &mut Draft, fact: &Fact) -> Outcome<Stage> {
    match &fact.what {
        What::SplitApplied { generation } if *generation == draft.row().generation => {
            let end = draft
                .row()
                .resume
                .filter(|stage| stage.is_turned_back() && stage.is_final())
                .unwrap_or(Stage::RolledBack);
            draft.enter_final(end)
        }
        // The reason of the retreat stays; the failure is in the log.
        What::SplitFailed { generation, .. } if *generation == draft.row().generation => draft.keep(None),
        What::RouteDrifted { generation, found } if *generation == draft.row().generation => {
            // What a target refuses as too old is no retreat.
            if found.is_some_and(|found| found >= *generation) {
                draft.overtake(fact);
                draft.retreat();
            }
            Outcome::Handled
        }
        What::DeadlinePassed { .. } if draft.is_due(fact) => {
            // From one deadline to the next, not from the last move: a failure noted in between must not swallow a page.
            let before = pages(draft.row());
            draft.retreat();
            if pages(draft.row()) > before {
                draft.say(Intent::Remind);
            }
            Outcome::Handled
        }
        _ => Outcome::Super,
    }
}

/// How many pages people have got by the deadline of a retreat. The first comes at a deadline of its own. From the second on
/// deadlines are a minute apart, and each counts what is up to a minute before it: none comes early.
fn pages(row: &Rollout) -> i64 {
    let waited = row.wake_at.map_or(0, |at| at.ms_since(row.entered_at)).saturating_sub(RETREAT_TOLD.ms());
    i64::from(waited > 0) + waited.saturating_sub(AGAIN_AT_MOST.ms()).max(0) / RETREAT_PAGE_MS
}
