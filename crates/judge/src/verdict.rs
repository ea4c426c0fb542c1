//! A verdict: what the evidence says after one tick, in codes and numbers. Texts are made by [`crate::render()`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Action, Comparator, FailureMode, Method, RuleName, Window};
use crate::sequential::interval::Interval;

/// The engine's name and version, part of each verdict.
pub const ENGINE: &str = "judge/1";

/// What a rule, a check or a step comes to. Ordered, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The rule does not apply in this step; never the result of a step.
    NotApplicable,
    /// Healthy.
    Pass,
    /// Worse than stable, within the limit.
    Degraded,
    /// There is evidence, and it does not decide.
    Inconclusive,
    /// There is no evidence.
    NoData,
    /// The source or the question is broken.
    Error,
    /// The limit is broken.
    Breach,
}

/// Why a result is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A check is in breach (of a whole verdict).
    Breach,
    /// A check is degraded and the policy does not accept that (of a whole verdict).
    Degraded,
    /// The budget is spent without a decision (of a whole verdict).
    Inconclusive,
    /// The plan has no checks.
    NoChecks,
    /// The warm-up is not over.
    WarmingUp,
    /// No round was held in this step.
    NoEvidenceYet,
    /// The candidate has no events in the window.
    NoCandidateData,
    /// The stable arm has no events in the window.
    NoStableData,
    /// The step leaves no traffic to the stable arm.
    NoStableArm,
    /// The rule falls back on a baseline, and none was recorded.
    NoBaseline,
    /// A value is NaN or infinite.
    NotANumber,
    /// A share lies outside 0 to 1: the values observed were not 0 or 1.
    NotAProportion,
    /// Fewer samples than asked for.
    TooFewSamples,
    /// Stable's value is 0, so there is no ratio.
    StableIsZero,
    /// Stable's value is negative, so there is no ratio.
    StableIsNegative,
    /// The value is at or below the floor.
    BelowFloor,
    /// The last round failed; not enough did.
    Failing,
    /// The source could not be read.
    SourceFailed,
    /// The source refuses the query, or a name would change what the query says.
    QueryRefused,
    /// The source gave more samples than are read.
    TooManySamples,
    /// The query gave several series where one number is expected.
    SeveralSeries,
    /// The quantile lies above the last edge, and so does the limit.
    AboveLastEdge,
    /// Sequential: evidence has stopped coming.
    Blind,
    /// Sequential: no bound of the values is known yet.
    NoBound,
    /// Sequential: the limit is broken in both arms, so it is not the candidate's doing.
    Environment,
    /// Sequential: not proved to be within the limit, nor beyond it.
    Undecided,
    /// Sequential: worse than stable, and proved to be within the limit.
    WorseWithinLimit,
    /// Users get another share of the candidate than was asked for.
    SplitDrift,
}

/// What a verdict asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The step's time is not over.
    Wait,
    /// Promotion is blocked.
    Hold,
    /// The dwell is over without a decision; the budget is not.
    Extend,
    /// The step is done.
    Advance,
    /// The candidate goes back.
    Rollback,
    /// A person decides.
    Gate,
}

/// What a value was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The stable arm at the same time.
    Concurrent,
    /// The stable arm's hour before the rollout.
    Baseline,
    /// A fixed limit.
    #[default]
    None,
}

/// What bounds the probability of a false breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// The policy's alpha, for the whole rollout.
    Alpha,
    /// Nothing.
    #[default]
    None,
}

/// What a reader of the numbers should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The quantile's cell is wider than a tenth of its value.
    CoarseBuckets,
    /// The quantile lies above the last edge; the value is that edge and its error is not known.
    AboveLastEdge,
    /// Sequential: stable should have traffic and has none, so the limit counts whoever is to blame.
    Unattributed,
    /// Sequential: there are no two replicas of stable to estimate from how clumped counts are; 2 is taken.
    DispersionUnknown,
    /// Sequential: the source gives no squares, so it takes more samples to decide.
    NoSquares,
}

/// What the evidence says after one tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Index of the step.
    pub step: u32,
    /// Number of the tick; 0 before the first.
    pub tick: u64,
    /// The worst result of the checks that count.
    pub result: Outcome,
    /// Why.
    pub reason: Option<Reason>,
    /// What it asks for.
    pub action: Decision,
    /// One entry for each rule, in the policy's order.
    pub checks: Vec<CheckResult>,
    /// Sequential: the evidence by what a breach leads to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<ClassEvidence>,
    /// Sequential: what it still takes; absent if nothing does, or it can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Whether users get the share that was asked for; absent before the first new session of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitEvidence>,
    /// Where the step stands.
    pub window: Progress,
    /// The engine that judged, [`ENGINE`].
    pub engine: String,
}

/// What the evidence says about one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// Index of the check in the policy, from 0.
    pub check: u32,
    /// The metric's name.
    pub metric: String,
    /// The rule's name in the policy.
    pub rule: RuleName,
    /// How it was judged.
    pub method: Method,
    /// What a breach leads to, here and now.
    pub action: Action,
    /// The result.
    pub result: Outcome,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether the last round broke the limit.
    pub breached: bool,
    /// What the value was compared with.
    pub comparison: Comparison,
    /// What bounds the probability of a false breach.
    pub guarantee: Guarantee,
    /// The candidate's value in the last round.
    pub value: Option<f64>,
    /// The value that it was compared with.
    pub stable_value: Option<f64>,
    /// The candidate's value over that.
    pub ratio: Option<f64>,
    /// The limit, as the policy wrote it.
    pub limit: f64,
    /// Sequential: the ratio up to which it is healthy.
    pub tolerance: Option<f64>,
    /// How the value is compared.
    pub comparator: Comparator,
    /// Samples of the candidate.
    pub n_candidate: Option<f64>,
    /// Samples of what it was compared with.
    pub n_stable: Option<f64>,
    /// Bad events of the candidate.
    pub bad_candidate: Option<f64>,
    /// Bad events of what it was compared with.
    pub bad_stable: Option<f64>,
    /// How far back the round looked.
    pub window: Window,
    /// When the round was held, in milliseconds from the step's `applied_at`.
    pub judged_at: Option<i64>,
    /// What the candidate's numbers were asked with, where a query feeds the check. Whoever asks fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Since when and why the numbers can't be had, in words. Whoever asks fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Sequential: what the evidence has come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<GateEvidence>,
    /// Relative error bound of a quantile; absent above the last edge.
    pub quantile_error: Option<f64>,
    /// Counters behind it that began anew in this step, because their process did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resets: u64,
    /// Failed rounds.
    pub failures: Failures,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
}

/// What the evidence of one sequential rule has come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateEvidence {
    /// Logarithm of its e-value, weighted.
    pub ln_e: f64,
    /// The e-value: odds against "at most the tolerance", or "within the limit".
    pub odds: f64,
    /// The odds at which it would be a breach by itself.
    pub odds_needed: f64,
    /// Odds against "at or beyond the limit" in this step, at their largest.
    pub accepted: f64,
    /// The odds that prove it healthy.
    pub accept_needed: f64,
    /// By what log e-values are divided, because events come in clumps.
    pub phi: f64,
    /// The candidate's ratio to stable in this step with its 95 % interval: for people, it decides nothing.
    pub interval: Option<Interval>,
    /// Samples of the candidate that a proof is still expected to take; absent if it is given, or can't be told.
    pub samples_needed: Option<u64>,
}

/// The evidence of the rules that together lead to one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassEvidence {
    /// What their breach leads to: `rollback`, or `hold` for those that hold or ask a person.
    pub class: Action,
    /// Logarithm of the sum of their weighted e-values.
    pub ln_total: f64,
    /// That sum.
    pub odds: f64,
    /// The sum at which it is a breach.
    pub odds_needed: f64,
    /// The chance of a false breach in the whole rollout.
    pub alpha: f64,
    /// Of a breach, the metric with the most evidence.
    pub culprit: Option<String>,
}

/// When the step can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Power {
    /// Whether that is in time.
    #[serde(default)]
    pub decidable: Decidable,
    /// Samples of the candidate that the slowest rule still needs until it is expected to be proved.
    pub samples_needed: u64,
    /// Seconds that takes at the rate of this step so far.
    pub eta_seconds: u64,
}

/// Whether a step is expected to be decided in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decidable {
    /// In its dwell.
    Yes,
    /// In its extension.
    WithExtension,
    /// Not before both are over.
    #[default]
    No,
}

/// The candidate's share of the new sessions of a step, in basis points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplitEvidence {
    /// What was asked for.
    pub expected_bp: u32,
    /// What users got.
    pub observed_bp: u32,
    /// Logarithm of the evidence that those are not the same; an alarm at 6.9.
    pub ln_e: f64,
}

/// The counter of failed rounds of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failures {
    /// Rounds that failed.
    pub count: u32,
    /// Rounds that make a breach.
    pub limit: u32,
    /// Which rounds are added up.
    pub mode: FailureMode,
}

/// Where a step stands; all times in milliseconds from its `applied_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The end of the newest tick.
    pub elapsed: i64,
    /// Time paused.
    pub held: i64,
    /// The end of the warm-up.
    pub warmup_until: i64,
    /// The end of the dwell, pauses included.
    pub dwell_until: i64,
    /// The end of the budget, pauses included.
    pub budget_until: i64,
    /// Ticks of this step.
    pub ticks: u64,
    /// Those in which nothing arrived.
    pub empty_ticks: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Verdict {
    /// Whether the candidate may stay: pass, or degraded.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        matches!(self.result, Outcome::Pass | Outcome::Degraded)
    }

    /// Whether this verdict is news after the other: its result, reason or action is another.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        (self.result, self.reason, self.action) != (other.result, other.reason, other.action)
    }
}
