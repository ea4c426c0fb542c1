//! A rollout on one line, and what makes one line news after another.

use proto::http::RolloutView;
use rollout::Stage;

use crate::screen::Tone;
use crate::words::{plain, share, word};

/// What of a rollout is worth a new line. What routers observed changes all the time and is not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct News {
    stage: Stage,
    step: u32,
    split: (u32, u32),
    verdict: Option<String>,
    waits_for: Option<String>,
    issues: Vec<String>,
}

impl News {
    pub(crate) fn of(view: &RolloutView) -> Self {
        let split = (view.split.desired, view.split.applied);
        let waits_for = view.reason.clone().filter(|_| waits_for_servers(view));
        Self { stage: view.stage, step: view.step, split, verdict: verdict(view), waits_for, issues: issues(view) }
    }

    /// What is broken that was not when `before` was told, on one line each.
    pub(crate) fn issues_since(&self, before: Option<&Self>) -> &[String] {
        if before.is_some_and(|before| before.issues == self.issues) { &[] } else { &self.issues }
    }
}

/// Stage, step, split, and the verdict; or the reason, where the verdict has had its effect.
pub(crate) fn line(view: &RolloutView) -> String {
    let is_over = view.stage.is_final() || view.stage.is_turned_back();
    let why = match &view.reason {
        Some(reason) if is_over || waits_for_servers(view) => Some(plain(reason)),
        _ if is_over => None,
        _ => verdict(view),
    };
    let parts = [place(view), split(view)].into_iter().chain(why);
    parts.collect::<Vec<_>>().join("  ")
}

/// Whether it is the candidate's servers that it waits for: then their last answer is the news.
fn waits_for_servers(view: &RolloutView) -> bool {
    view.stage == Stage::Preparing
}

/// The tone of the stage.
pub(crate) fn tone(stage: Stage) -> Tone {
    match stage {
        Stage::Completed => Tone::Good,
        Stage::Retreating | Stage::RolledBack | Stage::Rejected => Tone::Bad,
        Stage::Gated | Stage::Paused | Stage::Superseded | Stage::Cancelled => Tone::Careful,
        _ => Tone::Strong,
    }
}

/// Whether the stage belongs to a step.
pub(crate) const fn has_step(stage: Stage) -> bool {
    matches!(stage, Stage::Gated | Stage::Shifting | Stage::Observing | Stage::Paused)
}

/// The stage and, where it has one, the step: `observing 2/4 "25% ramp"`.
fn place(view: &RolloutView) -> String {
    let name = view.plan.steps.get(view.step as usize).map(|step| step.name.as_str());
    match name.filter(|_| has_step(view.stage)) {
        Some(name) => format!("{} {}/{} \"{}\"", view.stage, view.step + 1, view.plan.steps.len(), plain(name)),
        None => view.stage.to_string(),
    }
}

fn split(view: &RolloutView) -> String {
    let split = &view.split;
    let observed = split.observed.map(|observed| format!(", observed {}", share(observed))).unwrap_or_default();
    if split.applied == split.desired {
        return format!("split {}{observed}", share(split.desired));
    }
    format!("split {} wanted, {} applied{observed}", share(split.desired), share(split.applied))
}

/// The verdict about the step that it stands in, with its reason.
fn verdict(view: &RolloutView) -> Option<String> {
    let verdict = view.verdict.as_ref().filter(|verdict| verdict.step == view.step && verdict.tick > 0)?;
    let is_judged =
        !matches!(view.stage, Stage::Queued | Stage::Preparing | Stage::Shifting | Stage::Promoting | Stage::Completed);
    let reason = verdict.reason.as_ref().map(word).filter(|reason| *reason != word(&verdict.result));
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    is_judged.then(|| format!("verdict {}{reason}", word(&verdict.result)))
}

/// What is broken in the step that it stands in.
fn issues(view: &RolloutView) -> Vec<String> {
    let is_now =
        view.verdict.as_ref().is_some_and(|verdict| verdict.step == view.step) && view.stage != Stage::Completed;
    view.issues.iter().filter(|_| is_now).map(|issue| plain(issue)).collect()
}
