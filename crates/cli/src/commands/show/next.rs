//! What would decide next, in one sentence.

use judge::Decision;
use proto::http::RolloutView;
use rollout::{At, Stage};

use crate::words::{lasting, share, word};

/// What the rollout waits for, and what happens then.
pub(super) fn next(view: &RolloutView, now: At) -> String {
    let id = &view.id;
    let until =
        view.wake_at.map(|at| format!(", looked at again in {}", lasting(at.ms_since(now)))).unwrap_or_default();
    match view.stage {
        Stage::Queued => format!("the end of the model's other live rollout{until}"),
        Stage::Preparing => format!(
            "one good health probe of {} starts step 1; without one within {} it is rejected",
            view.candidate, view.plan.prepare_limit
        ),
        Stage::Gated => format!("a person: `tidegate approve {id}` or `tidegate reject {id}`{until}"),
        Stage::Shifting => format!("every router has to confirm {} for {}", share(view.split.desired), view.candidate),
        Stage::Observing => observing(view, now),
        Stage::Paused => format!("a person: `tidegate resume {id}`, or `tidegate rollback {id}`{until}"),
        Stage::Promoting => format!("every router has to confirm {} for {}", share(view.split.desired), view.candidate),
        Stage::Baking => format!("the end of the bake of {}; a breach still turns it back{until}", view.plan.bake),
        Stage::Retreating => {
            "every router has to confirm that the traffic is back; it is said again until they do".to_owned()
        }
        stage => format!("nothing: {stage} is final"),
    }
}

/// The judge's own clock, where it has spoken, else the plan's.
fn observing(view: &RolloutView, now: At) -> String {
    let step = view.plan.steps.get(view.step as usize);
    let elapsed = view.applied_at.map_or(0, |at| now.ms_since(at));
    let dwell_left = step.map_or(0, |step| step.dwell.ms()) - elapsed;
    let Some(step) = step.filter(|step| step.judged) else {
        return format!("the end of the dwell in {}, whatever the checks say", lasting(dwell_left));
    };
    let Some(verdict) = view.verdict.as_ref().filter(|verdict| verdict.step == view.step) else {
        return format!("the first verdict of this step; its dwell ends in {}", lasting(dwell_left));
    };
    let budget_left = verdict.window.budget_until.max(verdict.window.dwell_until + step.budget.ms()) - elapsed;
    let otherwise = view.plan.checks.as_ref().map_or_else(String::new, |checks| word(&checks.on_inconclusive));
    match verdict.action {
        Decision::Rollback => "the verdict asks for a rollback: traffic goes back now".to_owned(),
        Decision::Advance => "the verdict asks to go on: the next step begins now".to_owned(),
        Decision::Gate => "the verdict asks for a person: a gate opens now".to_owned(),
        Decision::Hold => {
            format!("the check that blocks has to recover within {}, else {otherwise}", lasting(budget_left))
        }
        Decision::Wait if dwell_left > 0 => format!(
            "the end of the dwell in {}: all checks healthy then means the next step, a breach before means back",
            lasting(verdict.window.dwell_until - elapsed)
        ),
        Decision::Wait | Decision::Extend => {
            format!("enough evidence for a decision within {}, else {otherwise}", lasting(budget_left))
        }
    }
}
