//! Numbers out of what was seen: nothing here is known beforehand.

use proto::http::HistoryEntry;
use rollout::{At, Stage};

use super::play::Played;
use super::samples;
use super::story::{CANDIDATE, STABLE};
use crate::load::{Moment, VersionReport};

/// Requests under way when a step begins belong to the step before it.
const SETTLING_MS: i64 = 150;

/// What a story came to.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) steps: Vec<StepShare>,
    pub(super) candidate: VersionReport,
    pub(super) stable: VersionReport,
    /// When every router had confirmed the first step's split: evidence begins.
    pub(super) begun_at: Option<At>,
    /// When the rollout decided to turn back.
    pub(super) decided_at: Option<At>,
    /// When every router had confirmed that.
    pub(super) back_at: Option<At>,
    /// From the first answer of the candidate that began to the decision.
    pub(super) detection_ms: Option<i64>,
    /// From the decision to the last answer of the candidate that began; negative when that was before it.
    pub(super) last_after_decision_ms: Option<i64>,
    /// The same, from the confirmation by every router.
    pub(super) last_after_back_ms: Option<i64>,
    /// Returns of a session to a version that it had left, while the candidate's share only grew.
    pub(super) sticky_violations: u64,
    /// The version that the registry calls active.
    pub(super) active: Option<String>,
}

impl Measured {
    /// From the begin of the evidence to the rollback that every router had confirmed.
    pub(super) fn turned_ms(&self) -> Option<i64> {
        Some(self.back_at?.ms_since(self.begun_at?))
    }
}

/// What the sessions got during one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepShare {
    pub(super) desired: u32,
    /// Those that the candidate served.
    pub(super) candidate: u64,
    pub(super) requests: u64,
}

pub(super) fn measure(played: &Played) -> Measured {
    let of = |version: &str| played.report.versions.get(version).cloned().unwrap_or_default();
    let candidate = of(CANDIDATE);
    let decided_at = entered(&played.history, Stage::Retreating);
    let back_at = entered(&played.history, Stage::RolledBack);
    let last = candidate.last_begun.map(at);
    let since = |instant: Option<At>| Some(last?.ms_since(instant?));
    // While traffic goes back, sessions return to the version that they had: that is what a rollback is.
    let grew_until = decided_at.unwrap_or(At(i64::MAX));
    Measured {
        steps: steps(played),
        detection_ms: decided_at.zip(candidate.first_begun.map(at)).map(|(decided, first)| decided.ms_since(first)),
        last_after_decision_ms: since(decided_at),
        last_after_back_ms: since(back_at),
        sticky_violations: samples::until(&played.samples, grew_until).map_or(0, |sample| sample.sticky_violations),
        active: played
            .versions
            .iter()
            .find(|version| version.status == "active")
            .map(|version| version.version.to_string()),
        stable: of(STABLE),
        candidate,
        begun_at: entered(&played.history, Stage::Observing),
        decided_at,
        back_at,
    }
}

/// For each step that was observed: what the sessions got between the confirmation of its split and the next move.
fn steps(played: &Played) -> Vec<StepShare> {
    let moves: Vec<&HistoryEntry> = played.history.iter().filter(|entry| is_move(entry)).collect();
    let ends = moves.iter().skip(1).map(|next| next.at).chain([At(i64::MAX)]);
    let observed = moves.iter().zip(ends).filter(|(entry, _)| entry.to.as_deref() == Some(Stage::Observing.name()));
    observed
        .filter_map(|(entry, end)| {
            let step = played.rollout.plan.steps.get(entry.step? as usize)?;
            let desired = step.split.candidates().basis_points();
            if !played.story.is_quick() {
                return exposed(played, desired);
            }
            let first = samples::from(&played.samples, entry.at.plus_ms(SETTLING_MS))?;
            let last = samples::until(&played.samples, end)?;
            let candidate = last.candidate.saturating_sub(first.candidate);
            Some(StepShare { desired, candidate, requests: last.answered.saturating_sub(first.answered) })
        })
        .collect()
}

/// The only step of a slow candidate. Its answers are counted when they end, which may be after the step: so all of them are
/// taken, and compared with what was sent while they began.
fn exposed(played: &Played, desired: u32) -> Option<StepShare> {
    let candidate = played.report.versions.get(CANDIDATE)?;
    let first = samples::until(&played.samples, at(candidate.first_begun?))?;
    let last = samples::from(&played.samples, at(candidate.last_begun?))?;
    Some(StepShare { desired, candidate: candidate.answered, requests: last.sent.saturating_sub(first.sent) })
}

/// Whether the stage or its step became another one.
fn is_move(entry: &HistoryEntry) -> bool {
    entry.entry == "transition" && entry.from != entry.to
}

fn entered(history: &[HistoryEntry], stage: Stage) -> Option<At> {
    history.iter().find(|entry| is_move(entry) && entry.to.as_deref() == Some(stage.name())).map(|entry| entry.at)
}

fn at(moment: Moment) -> At {
    At(i64::try_from(moment.unix_ms).unwrap_or(i64::MAX))
}
