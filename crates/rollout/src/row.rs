//! The row of a rollout: everything that [`crate::decide()`] may know.

use judge::Span;
use serde::{Deserialize, Serialize};

use crate::fact::Before;
use crate::instant::At;
use crate::name::{Model, RolloutId, Tenant, Version};
use crate::plan::{Plan, Step, Workload};
use crate::route::{Arm, Direction};
use crate::split::{Share, Split};
use crate::stage::Stage;

/// The transition table that new rollouts are decided by.
pub const MACHINE: i64 = 1;

/// One rollout of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Made from the promote message.
    pub id: RolloutId,
    /// Whose model it is.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version that is rolled out.
    pub candidate: Version,
    /// Its servers.
    pub workload: Workload,
    /// The version that served before; known once it left `queued`.
    pub previous: Option<Version>,
    /// Who asked for it.
    pub requested_by: String,
    /// The plan, frozen.
    pub plan: Plan,
    /// The split before, copied from the route when it left `queued`.
    pub before: Option<Before>,
    /// Which transition table decides.
    pub machine: i64,
    /// Where it stands.
    pub stage: Stage,
    /// Index of the step that the stage belongs to.
    pub step: u32,
    /// Paused: the stage that `resume` enters. Retreating: the final stage that it ends in.
    pub resume: Option<Stage>,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// Counts intents; answers to older ones are refused.
    pub attempt: i64,
    /// Counts transitions, from 1 without a gap.
    pub version: i64,
    /// Fence of the last split asked for; 0 before the first.
    pub generation: i64,
    /// Milliseconds of the step's clock that were spent paused.
    pub held_ms: i64,
    /// When it must be looked at again; `None` exactly in final stages.
    pub wake_at: Option<At>,
    /// When the stage was entered.
    pub entered_at: At,
    /// When the step's split was read back.
    pub applied_at: Option<At>,
    /// When it turned back.
    pub retreated_at: Option<At>,
    /// When it was asked for.
    pub created_at: At,
    /// When it last moved.
    pub updated_at: At,
}

/// What a rollout is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Made from the promote message.
    pub id: RolloutId,
    /// Whose model it is.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// The version.
    pub candidate: Version,
    /// Its servers.
    pub workload: Workload,
    /// Who asks for it.
    pub requested_by: String,
    /// The plan, frozen.
    pub plan: Plan,
}

impl Rollout {
    /// The row before its first fact.
    #[must_use]
    pub fn requested(request: Request, at: At) -> Self {
        let Request { id, tenant, model, candidate, workload, requested_by, plan } = request;
        Self {
            id,
            tenant,
            model,
            candidate,
            workload,
            previous: None,
            requested_by,
            plan,
            before: None,
            machine: MACHINE,
            stage: Stage::Queued,
            step: 0,
            resume: None,
            reason: None,
            attempt: 0,
            version: 0,
            generation: 0,
            held_ms: 0,
            wake_at: None,
            entered_at: at,
            applied_at: None,
            retreated_at: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// The step that the stage belongs to.
    #[must_use]
    pub fn current_step(&self) -> Option<&Step> {
        self.plan.steps.get(usize::try_from(self.step).ok()?)
    }

    /// Whether any split of it was ever asked for.
    #[must_use]
    pub const fn had_split(&self) -> bool {
        self.generation > 0
    }

    /// The share that the candidate is wished to have now, once everything that was asked for is applied.
    #[must_use]
    pub fn desired(&self) -> Share {
        match self.stage {
            _ if self.stage.is_turned_back() || !self.had_split() => Share::ZERO,
            // Whatever its steps say: there is nothing else to send the rest to.
            _ if self.before.is_none() => Share::WHOLE,
            Stage::Promoting | Stage::Baking | Stage::Completed => Share::WHOLE,
            Stage::Gated => self.share_before_gate(),
            Stage::Paused if self.resume == Some(Stage::Gated) => self.share_before_gate(),
            _ => self.share_of_step(self.step),
        }
    }

    /// A gate stands before the split of its step: until it opens, that of the step before goes on.
    fn share_before_gate(&self) -> Share {
        self.step.checked_sub(1).map_or(Share::ZERO, |step| self.share_of_step(step))
    }

    /// The candidate's share in the step with that index; the whole behind the last.
    #[must_use]
    pub fn share_of_step(&self, step: u32) -> Share {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        self.plan.steps.get(index).map_or(Share::WHOLE, |step| step.split.candidates())
    }

    /// The arms of a route that gives `split`, candidates first; with no version before, the candidate alone.
    #[must_use]
    pub fn arms(&self, split: &Split) -> Vec<Arm> {
        let candidate = |share| Arm {
            version: self.candidate.clone(),
            basis_points: share,
            upstream: self.workload.upstream.clone(),
            headers: self.workload.headers.clone(),
        };
        let Some(stable) =
            self.before.as_ref().and_then(|before| before.arms.iter().find(|arm| arm.version == before.stable))
        else {
            return vec![candidate(Share::WHOLE)];
        };
        vec![candidate(split.candidates()), Arm { basis_points: split.stable(), ..stable.clone() }]
    }

    /// The arms and the stable version of the route for `direction`: going back restores exactly what was there before.
    #[must_use]
    pub fn wish(&self, direction: Direction, split: &Split) -> (Vec<Arm>, Version) {
        match (&self.before, direction) {
            (Some(before), Direction::Back) => (before.arms.clone(), before.stable.clone()),
            (Some(before), Direction::Forward) => (self.arms(split), before.stable.clone()),
            (None, _) => (self.arms(split), self.candidate.clone()),
        }
    }

    /// Milliseconds on the clock of the step: since the split was read back, less what was spent paused.
    #[must_use]
    pub fn elapsed_ms(&self, now: At) -> i64 {
        self.applied_at.map_or(0, |applied| now.ms_since(applied).saturating_sub(self.held_ms))
    }

    /// The lease that its routes carry: none without a version to fall back to.
    #[must_use]
    pub fn lease(&self) -> Option<Span> {
        self.before.as_ref().and(self.plan.lease)
    }
}
