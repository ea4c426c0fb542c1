//! A rollout on its way, with everybody who talks to it.

use std::fmt;

use super::*;
use crate::fold;

/// One rollout, the world around it as its step would read it, and all that was heard and said.
#[derive(Clone)]
pub(super) struct Journey {
    pub(super) row: Rollout,
    pub(super) now: At,
    /// The model's route: its generation, and what it gave before.
    pub(super) generation: i64,
    pub(super) route: Option<Before>,
    pub(super) live: Option<(RolloutId, Stage)>,
    pub(super) asked: Rollout,
    pub(super) heard: Vec<(Fact, At)>,
    pub(super) said: Vec<(At, Intent)>,
}

impl fmt::Debug for Journey {
    /// What tells it from another one: the whole plan would hide it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.row.plan;
        let on_inconclusive = plan.checks.as_ref().map(|checks| checks.on_inconclusive);
        write!(f, "{} ({on_inconclusive:?}, {:?}), ", plan.policy, plan.on_lease_expired)?;
        write!(f, "before {:?}, live {:?}, heard {:?}", self.route.is_some(), self.live, self.heard)
    }
}

impl Journey {
    /// A promotion of v2 while v1 serves.
    pub(super) fn of(plan: Plan) -> Self {
        let mut journey = Self::asked(plan, Some(before()));
        journey.tell(What::Requested { when_live: WhenLive::Reject, refusal: None }).unwrap();
        journey
    }

    /// The first version of a model.
    pub(super) fn first(plan: Plan) -> Self {
        let mut journey = Self::asked(plan, None);
        journey.tell(What::Requested { when_live: WhenLive::Reject, refusal: None }).unwrap();
        journey
    }

    /// Before its first fact.
    pub(super) fn asked(plan: Plan, route: Option<Before>) -> Self {
        let row = requested(plan);
        let generation = if route.is_some() { 7 } else { 0 };
        Self { asked: row.clone(), row, now: START, generation, route, live: None, heard: Vec::new(), said: Vec::new() }
    }

    /// The fact as the step would hear it now.
    pub(super) fn fact(&self, what: What, actor: &str, reason: Option<&str>) -> Fact {
        let is_queued = self.row.stage == Stage::Queued;
        let seen = Seen {
            generation: self.generation,
            route: self.route.clone().filter(|_| is_queued),
            live: self.live.clone().filter(|_| is_queued),
        };
        Fact { what, actor: actor.to_owned(), reason: reason.map(str::to_owned), seen }
    }

    /// Says the fact to the machine, and does what the step would do with the answer.
    pub(super) fn hear(&mut self, fact: Fact) -> Result<Vec<Intent>, Refusal> {
        let decided = decide(&self.row, &fact, self.now);
        self.heard.push((fact, self.now));
        let decision = decided?;
        if decision.next.generation != self.row.generation {
            self.generation = decision.next.generation;
        } else if decision.next.stage.is_final() && decision.next.had_split() {
            self.generation += 1;
        }
        self.row = decision.next;
        self.said.extend(decision.intents.iter().map(|intent| (self.now, intent.clone())));
        Ok(decision.intents)
    }

    pub(super) fn tell(&mut self, what: What) -> Result<Vec<Intent>, Refusal> {
        self.hear(self.fact(what, "a-service", None))
    }

    pub(super) fn say(&mut self, verb: Verb) -> Result<Vec<Intent>, Refusal> {
        self.hear(self.fact(What::Commanded { verb }, "ann", Some("because")))
    }

    /// Time passes, and nobody looks.
    pub(super) fn sleep(&mut self, milliseconds: i64) {
        self.now = self.now.plus_ms(milliseconds);
    }

    /// The deadline comes, now or when it is due.
    pub(super) fn deadline(&mut self) -> Vec<Intent> {
        self.now = self.now.max(self.row.wake_at.expect("a stage that waits has a deadline"));
        self.tell(What::DeadlinePassed { version: self.row.version }).expect("a deadline that has come is heard")
    }

    /// Time passes, and each deadline in it is heard when it is due.
    pub(super) fn wait(&mut self, milliseconds: i64) {
        let until = self.now.plus_ms(milliseconds);
        while self.row.wake_at.is_some_and(|at| at <= until) {
            self.deadline();
        }
        self.now = until;
    }

    pub(super) fn ready(&mut self) -> Vec<Intent> {
        self.tell(What::WorkloadReady { attempt: self.row.attempt }).unwrap()
    }

    pub(super) fn applied(&mut self) -> Vec<Intent> {
        self.tell(What::SplitApplied { generation: self.row.generation }).unwrap()
    }

    pub(super) fn verdict(&mut self, action: Action) -> Result<Vec<Intent>, Refusal> {
        self.tell(verdict(self.row.attempt, action))
    }

    /// The judge, the targets and a person say yes until the rollout stands there.
    pub(super) fn until(mut self, stage: Stage, step: u32) -> Self {
        for _ in 0..100 {
            if (self.row.stage, self.row.step) == (stage, step) {
                return self;
            }
            match self.row.stage {
                Stage::Preparing => drop(self.ready()),
                Stage::Shifting | Stage::Promoting => drop(self.applied()),
                Stage::Gated => drop(self.say(Verb::Approve).unwrap()),
                Stage::Observing if self.row.current_step().is_some_and(|step| step.judged) => {
                    self.verdict(Action::Advance).unwrap();
                }
                _ => drop(self.deadline()),
            }
        }
        panic!("it never came to {stage} {step}");
    }

    /// The log gives the row, with or without what was refused.
    pub(super) fn folded(&self) -> Rollout {
        fold(self.asked.clone(), self.heard.iter().map(|(fact, at)| (fact, *at)))
    }

    /// The generation and direction of each split that was said, repeats left out.
    pub(super) fn splits(&self) -> Vec<(At, i64, Direction, Share)> {
        let mut splits: Vec<_> = self
            .said
            .iter()
            .filter_map(|(at, intent)| match intent {
                Intent::ApplySplit { generation, direction, split } => {
                    Some((*at, *generation, *direction, split.candidates()))
                }
                _ => None,
            })
            .collect();
        splits.dedup_by_key(|split| split.1);
        splits
    }
}

/// A word of another system.
pub(super) fn evaluated() -> What {
    What::EvaluationFinished { name: "suite".to_owned(), outcome: "fail".to_owned() }
}

pub(super) fn verdict(attempt: i64, action: Action) -> What {
    let (result, reason) = match action {
        Action::Advance => ("pass", None),
        Action::Rollback | Action::Hold | Action::Gate => ("breach", Some("error_rate 0.2".to_owned())),
        Action::Wait | Action::Extend => ("inconclusive", Some("too_few_samples".to_owned())),
    };
    What::VerdictReached { attempt, action, result: result.to_owned(), reason }
}
