//! The next row while it is being decided: what entering a stage means, and when a stage must be looked at again.

use judge::{OnInconclusive, Span};
use statig::Outcome;

use super::backward::RETREAT_TOLD;
use crate::decide::{Decision, Refusal};
use crate::fact::{Fact, What};
use crate::instant::At;
use crate::intent::Intent;
use crate::route::Direction;
use crate::row::Rollout;
use crate::split::{Share, Split};
use crate::stage::Stage;

/// A queued rollout that never had its turn ends after this long.
const QUEUE_LIMIT: Span = Span(24 * 60 * 60 * 1000);
/// A probe is asked for again after this long at first.
const WORKLOAD_AGAIN: Span = Span(5_000);
/// A split is asked for again after this long at first.
const SPLIT_AGAIN: Span = Span(5_000);
/// A retreat is more urgent.
const RETREAT_AGAIN: Span = Span(1_000);
/// Repeats are never further apart, so that a lost message costs at most this.
pub(super) const AGAIN_AT_MOST: Span = Span(60_000);
/// A forward split that is not applied by then turns back.
pub(super) const SPLIT_LIMIT: Span = Span(10 * 60 * 1000);
/// People are reminded of a gate this often.
const GATE_AGAIN: Span = Span(4 * 60 * 60 * 1000);
/// A gate without a limit of its own, such as one that a verdict asked for.
const GATE_LIMIT: Span = Span(24 * 60 * 60 * 1000);
/// People are reminded of a pause this often.
const PAUSE_AGAIN: Span = Span(24 * 60 * 60 * 1000);
/// The analysis is asked for again a sixtieth of the dwell apart, within these bounds.
const ANALYSIS_AGAIN: (Span, Span) = (Span(60_000), Span(15 * 60 * 1000));
/// The judge speaks at the dwell's end by itself; only a verdict that is not there this much later is asked for again.
const ON_ITS_WAY: Span = Span(2_000);
/// How long the judge has after it was asked for the last time.
pub(super) const LAST_WORD: Span = Span(60_000);
/// A deadline that fires this late was overslept: evidence from before does not count.
const OVERSLEPT: Span = Span(5_000);
/// Longest name of a reason; what comes from outside is cut.
const REASON_BYTES_MAX: usize = 500;

/// The next row, and what is said with it.
#[derive(Debug)]
pub(crate) struct Draft {
    row: Rollout,
    armed: Option<At>,
    now: At,
    intents: Vec<Intent>,
    refusal: Option<Refusal>,
}

impl Draft {
    pub(crate) fn of(row: &Rollout, now: At) -> Self {
        Self { row: row.clone(), armed: row.wake_at, now, intents: Vec::new(), refusal: None }
    }

    /// What became of the fact: a row at `stage`, or the refusal.
    pub(crate) fn outcome(&self, stage: Stage) -> Result<Decision, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let mut next = self.row.clone();
        next.stage = stage;
        next.version = next.version.saturating_add(1);
        next.updated_at = self.now;
        Ok(Decision { next, intents: self.intents.clone() })
    }

    pub(super) const fn row(&self) -> &Rollout {
        &self.row
    }

    pub(super) const fn now(&self) -> At {
        self.now
    }

    /// The deadline that was armed before this fact.
    pub(super) fn armed(&self) -> At {
        self.armed.unwrap_or(self.now)
    }

    /// Whether `fact` is the deadline of this row, and it has come.
    pub(super) fn is_due(&self, fact: &Fact) -> bool {
        matches!(fact.what, What::DeadlinePassed { version } if version == self.row.version) && self.now >= self.armed()
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) -> Outcome<Stage> {
        self.refusal = Some(refusal);
        Outcome::Handled
    }

    /// The fact only adds evidence: a logged transition to the same stage, the same attempt, nothing said.
    pub(super) fn keep(&mut self, reason: Option<String>) -> Outcome<Stage> {
        if reason.is_some() {
            self.because(reason);
        }
        Outcome::Handled
    }

    pub(super) fn because(&mut self, reason: Option<String>) {
        self.row.reason = reason.map(|mut text| {
            let end = (0..=REASON_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            text
        });
    }

    pub(super) fn say(&mut self, intent: Intent) {
        self.intents.push(intent);
    }

    pub(super) const fn wake(&mut self, at: At) {
        self.row.wake_at = Some(at);
    }

    /// Looks again at `at`, or at `limit` if that is earlier. A limit that passed and ended nothing is no deadline any more:
    /// it would come again at once, for ever.
    fn wake_by(&mut self, at: At, limit: At) {
        self.wake(if limit > self.now { at.min(limit) } else { at });
    }

    /// Whether it can turn back: it had no split yet, or it knows what served before.
    pub(super) const fn has_way_back(&self) -> bool {
        !self.row.had_split() || self.row.before.is_some()
    }

    /// A new attempt: what answers an older one does not count any more.
    pub(super) const fn try_anew(&mut self) {
        self.row.attempt = self.row.attempt.saturating_add(1);
    }

    /// Stays until the queue's limit.
    pub(super) fn stay_queued(&mut self) -> Outcome<Stage> {
        self.wake(self.row.created_at.plus(QUEUE_LIMIT));
        Outcome::Handled
    }

    pub(super) fn queue_is_over(&self) -> bool {
        self.now >= self.row.created_at.plus(QUEUE_LIMIT)
    }

    /// Its turn has come: remembers what served before, and has the candidate brought up.
    pub(super) fn enter_preparing(&mut self, fact: &Fact) -> Outcome<Stage> {
        self.row.before = fact.seen.route.clone();
        self.row.previous = fact.seen.route.as_ref().map(|route| route.stable.clone());
        self.enter();
        self.because(None);
        self.try_anew();
        self.prepare();
        Outcome::Transition(Stage::Preparing)
    }

    /// Says that the candidate is to be brought up, with the attempt of the stage.
    pub(super) fn prepare(&mut self) {
        self.say(Intent::StartWorkload { attempt: self.row.attempt });
        let limit = self.row.entered_at.plus(self.row.plan.prepare_limit);
        self.wake_by(again(self.row.entered_at, self.now, WORKLOAD_AGAIN), limit);
    }

    /// The step with that index: its gate first, else its split; behind the last one the whole.
    pub(super) fn enter_step(&mut self, step: u32, fact: &Fact) -> Outcome<Stage> {
        let gated = usize::try_from(step)
            .is_ok_and(|step| self.row.plan.steps.get(step).is_some_and(|step| step.gate.is_some()));
        if gated { self.enter_gated(step) } else { self.enter_split(step, fact) }
    }

    pub(super) fn enter_gated(&mut self, step: u32) -> Outcome<Stage> {
        self.enter();
        self.row.step = step;
        self.say(Intent::Remind);
        self.watch_gate();
        Outcome::Transition(Stage::Gated)
    }

    /// When the gate closes.
    pub(super) fn gate_limit(&self) -> At {
        let gate = self.row.current_step().and_then(|step| step.gate.as_ref());
        self.row.entered_at.plus(gate.map_or(GATE_LIMIT, |gate| gate.expires))
    }

    pub(super) fn watch_gate(&mut self) {
        self.wake_by(every(self.row.entered_at, self.now, GATE_AGAIN), self.gate_limit());
    }

    pub(super) fn pause_limit(&self) -> At {
        self.row.entered_at.plus(self.row.plan.pause_limit)
    }

    pub(super) fn watch_pause(&mut self) {
        self.wake_by(every(self.row.entered_at, self.now, PAUSE_AGAIN), self.pause_limit());
    }

    pub(super) fn enter_paused(&mut self, from: Stage, fact: &Fact) -> Outcome<Stage> {
        self.enter();
        self.because(fact.reason.clone());
        self.row.resume = Some(from);
        self.say(Intent::Remind);
        self.watch_pause();
        Outcome::Transition(Stage::Paused)
    }

    /// What `resume` enters becomes another stage, or another step's, without leaving the pause.
    pub(super) const fn resume_with(&mut self, stage: Stage, step: u32) {
        self.row.resume = Some(stage);
        self.row.step = step;
    }

    /// A new split with a new generation: that of the step, or the whole behind the last one.
    pub(super) fn enter_split(&mut self, step: u32, fact: &Fact) -> Outcome<Stage> {
        let last = u32::try_from(self.row.plan.steps.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.enter();
        self.row.step = step.min(last);
        self.overtake(fact);
        self.row.applied_at = None;
        self.row.held_ms = 0;
        let stage = if step > last { Stage::Promoting } else { Stage::Shifting };
        self.shift(stage);
        Outcome::Transition(stage)
    }

    /// A new attempt, and a generation above all that is there.
    pub(super) fn overtake(&mut self, fact: &Fact) {
        self.try_anew();
        self.row.generation = next_generation(fact);
    }

    /// Asks for a split that gives the candidate nothing and is no retreat. The clock of the split before it is over.
    pub(super) fn clamp(&mut self) {
        self.row.applied_at = None;
        self.row.held_ms = 0;
        let split = Split::candidate(Share::ZERO);
        self.say(Intent::ApplySplit { generation: self.row.generation, direction: Direction::Forward, split });
    }

    /// Says the split of the stage, with its generation.
    pub(super) fn shift(&mut self, stage: Stage) {
        let step = self.row.current_step().filter(|_| stage == Stage::Shifting);
        let split = step.map_or_else(|| Split::candidate(Share::WHOLE), |step| step.split.clone());
        self.say(Intent::ApplySplit { generation: self.row.generation, direction: Direction::Forward, split });
        let next = again(self.row.entered_at, self.now, SPLIT_AGAIN);
        if self.row.before.is_some() {
            self.wake_by(next, self.row.entered_at.plus(SPLIT_LIMIT));
        } else {
            self.wake(next);
        }
    }

    /// The split was read back: the clock of the step starts now.
    pub(super) fn enter_watching(&mut self, stage: Stage) -> Outcome<Stage> {
        self.row.applied_at = Some(self.now);
        self.row.held_ms = 0;
        self.because(None);
        self.watch_anew(stage)
    }

    /// Enters a watching stage with a new attempt; the clock goes on.
    pub(super) fn watch_anew(&mut self, stage: Stage) -> Outcome<Stage> {
        self.enter();
        self.try_anew();
        self.watch(stage);
        Outcome::Transition(stage)
    }

    /// Asks for the analysis, if the stage is judged, and says when to look again.
    pub(super) fn watch(&mut self, stage: Stage) {
        let (length, budget, judged) = self.clock(stage);
        let elapsed = self.row.elapsed_ms(self.now);
        let start = self.row.applied_at.unwrap_or(self.now).plus_ms(self.row.held_ms);
        if !judged {
            self.wake(start.plus(length).max(self.now));
            return;
        }
        self.say(Intent::RunAnalysis { attempt: self.row.attempt });
        let end = length.ms().saturating_add(budget.ms());
        let often = Span(length.0 / 60).clamp(ANALYSIS_AGAIN.0, ANALYSIS_AGAIN.1).ms();
        let next = [(elapsed / often + 1).saturating_mul(often), length.ms().saturating_add(ON_ITS_WAY.ms()), end]
            .into_iter()
            .filter(|at| *at > elapsed && *at <= end)
            .min();
        self.wake(start.plus_ms(next.unwrap_or_else(|| elapsed.max(end).saturating_add(LAST_WORD.ms()))));
    }

    /// How long the stage is watched, how much longer a proof may take, and whether it is judged.
    pub(super) fn clock(&self, stage: Stage) -> (Span, Span, bool) {
        if stage == Stage::Baking {
            return (self.row.plan.bake, Span(0), self.row.plan.checks.is_some() && self.row.plan.bake > Span(0));
        }
        self.row.current_step().map_or((Span(0), Span(0), false), |step| (step.dwell, step.budget, step.judged))
    }

    /// Whether the deadline came so late that nobody was there: what was judged before does not count then.
    pub(super) fn was_overslept(&self) -> bool {
        self.now.ms_since(self.armed()) > OVERSLEPT.ms()
    }

    /// Milliseconds on the step's clock at which the deadline was armed.
    pub(super) fn armed_elapsed(&self) -> i64 {
        self.row.elapsed_ms(self.armed())
    }

    /// Adds what was spent paused to what the step's clock does not count.
    pub(super) fn hold_clock(&mut self) {
        self.row.held_ms = self.row.held_ms.saturating_add(self.now.ms_since(self.row.entered_at).max(0));
        self.row.resume = None;
    }

    pub(super) const fn forget_resume(&mut self) {
        self.row.resume = None;
    }

    /// Asks once more for a word of the judge, and waits for it.
    pub(super) fn ask_again(&mut self, wait: Span) {
        self.say(Intent::RunAnalysis { attempt: self.row.attempt });
        self.wake(self.now.plus(wait));
    }

    /// Traffic goes back to exactly what was there before; `end` is the final stage once that was read back.
    pub(super) fn enter_retreating(&mut self, end: Stage, fact: &Fact) -> Outcome<Stage> {
        self.enter();
        self.row.resume = Some(end);
        self.row.retreated_at = Some(self.now);
        self.overtake(fact);
        self.retreat();
        Outcome::Transition(Stage::Retreating)
    }

    /// Says the way back, with its generation.
    pub(super) fn retreat(&mut self) {
        let split = Split::candidate(Share::ZERO);
        self.say(Intent::ApplySplit { generation: self.row.generation, direction: Direction::Back, split });
        let (at, told) = (again(self.row.entered_at, self.now, RETREAT_AGAIN), self.row.entered_at.plus(RETREAT_TOLD));
        self.wake(if told > self.now { at.min(told) } else { at });
    }

    /// Nothing can happen any more.
    pub(super) fn enter_final(&mut self, stage: Stage) -> Outcome<Stage> {
        self.enter();
        self.row.resume = None;
        self.row.wake_at = None;
        Outcome::Transition(stage)
    }

    fn enter(&mut self) {
        self.row.entered_at = self.now;
    }

    /// What no proof within the budget leads to.
    pub(super) fn on_inconclusive(&self) -> OnInconclusive {
        self.row.plan.checks.as_ref().map_or(OnInconclusive::Rollback, |checks| checks.on_inconclusive)
    }
}

/// Above the route that is there, and above what a target was found to have.
fn next_generation(fact: &Fact) -> i64 {
    let found = if let What::RouteDrifted { found: Some(found), .. } = fact.what { found } else { 0 };
    fact.seen.generation.max(found).saturating_add(1)
}

/// When something said at `since` is said again: after `first`, then each time the wait has doubled, at most a minute apart.
fn again(since: At, now: At, first: Span) -> At {
    let (mut wait, mut at) = (first.ms(), since.plus(first));
    while at <= now && wait < AGAIN_AT_MOST.ms() {
        wait = (wait * 2).min(AGAIN_AT_MOST.ms());
        at = at.plus_ms(wait);
    }
    if at > now { at } else { every(at, now, AGAIN_AT_MOST) }
}

/// The first multiple of `span` after `since` that lies after `now`.
fn every(since: At, now: At, span: Span) -> At {
    since.plus_ms((now.ms_since(since).max(0) / span.ms().max(1) + 1).saturating_mul(span.ms()))
}
