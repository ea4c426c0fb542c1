//! A policy with every number filled in, as it is frozen when a rollout starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Action, Comparator, FailureMode, Method, RuleName, Window};
use crate::metric::{Metric, SignalName};
use crate::query::Query;
use crate::sequential::plan::{Gate, Plan};
use crate::settings::{Baseline, OnDegraded, OnInconclusive};
use crate::slo::Objective;
use crate::span::Span;

/// What the judge goes by. Made by [`crate::resolve()`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The checks, in the policy's order.
    pub checks: Vec<ResolvedCheck>,
    /// The counters of failed rounds; rules name them by index.
    pub counters: Vec<Counter>,
    /// The steps, in the plan's order.
    pub steps: Vec<ResolvedStep>,
    /// Length of a tick.
    pub tick: Span,
    /// Probability of a false breach of the sequential checks in the whole rollout.
    pub alpha: f64,
    /// Probability that the sequential method proves a candidate healthy in a step that is at its limit.
    pub beta: f64,
    /// What happens to a step that could not be decided in its budget.
    pub on_inconclusive: OnInconclusive,
    /// What a degraded check leads to.
    pub on_degraded: OnDegraded,
    /// What relative rules compare with while stable has no traffic, as far as the plan says.
    pub baseline: Baseline,
    /// Rollouts of the same version that may be tried in a day.
    pub retries_per_day: u32,
    /// The gates of the sequential checks.
    #[serde(default, skip_serializing_if = "Plan::is_empty")]
    pub sequential: Plan,
    /// What users may expect; it decides nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slos: Vec<Objective>,
    /// What was filled in or has no effect, as sentences for people.
    pub notes: Vec<String>,
}

/// One check with every number filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedCheck {
    /// The metric's name.
    pub metric: String,
    /// What the name means.
    pub kind: Metric,
    /// The templates that feed it; absent if the router or observations do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Its rules.
    pub rules: Vec<ResolvedRule>,
    /// How they are judged.
    pub method: Method,
    /// What a breach leads to.
    pub action: Action,
    /// Fewest samples in an arm.
    pub min_samples: u64,
    /// Time between two rounds.
    pub interval: Span,
    /// How far back a round looks.
    pub window: Window,
    /// How long the source may fail before that is an error.
    pub max_blind: Span,
    /// What relative rules compare with while stable has no traffic.
    pub baseline: Baseline,
}

/// One limit with every number filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedRule {
    /// The name under which the policy wrote it.
    pub name: RuleName,
    /// How the value is compared.
    pub comparator: Comparator,
    /// The limit; a factor or a share for relative rules, as the policy wrote it.
    pub limit: f64,
    /// The limit's text in the policy.
    pub limit_text: String,
    /// Value up to which a relative increase passes.
    pub floor: Option<f64>,
    /// Failed rounds that make a breach.
    pub failure_limit: u32,
    /// Which failed rounds are added up.
    pub failure_mode: FailureMode,
    /// The group whose counter it shares.
    pub failure_group: Option<String>,
    /// Its counter, an index into [`Resolved::counters`].
    pub counter: u32,
}

/// A counter of failed rounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counter {
    /// Failed rounds that make a breach.
    pub limit: u32,
    /// Which failed rounds are added up.
    pub mode: FailureMode,
}

/// One step with every number filled in.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedStep {
    /// How long the step runs.
    pub dwell: Span,
    /// Time at its start that is not judged.
    pub warmup: Span,
    /// How long it may go on after its dwell without a pass.
    pub budget: Span,
    /// Earliest promotion if it passes; absent means at the dwell's end.
    pub min_dwell: Option<Span>,
    /// Whether its end waits for a verdict; if not, it runs its dwell, and only a breach matters.
    pub judged: bool,
    /// The candidate's share of the traffic, 0 to 1; 0 where that is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub share: f64,
}

impl ResolvedCheck {
    /// Whether its relative rules are judged by the threshold method while stable has no traffic.
    pub(crate) fn has_fallback(&self) -> bool {
        self.baseline == Baseline::Fallback && self.rules.iter().any(|rule| rule.comparator.is_relative())
    }
}

impl Resolved {
    /// The largest absolute limit on whole-answer latency, in milliseconds: how long a request may hang before it counts as failed.
    #[must_use]
    pub fn largest_latency_limit_ms(&self) -> Option<u64> {
        self.largest_limit_ms(&SignalName::latency())
    }

    /// The largest absolute limit on the time to the first byte, in milliseconds: when a request without one has an age that counts.
    #[must_use]
    pub fn largest_ttft_limit_ms(&self) -> Option<u64> {
        self.largest_limit_ms(&SignalName::ttft())
    }

    fn largest_limit_ms(&self, of: &SignalName) -> Option<u64> {
        self.checks
            .iter()
            .filter(|check| matches!(&check.kind, Metric::Quantile { signal, .. } if signal == of))
            .flat_map(|check| &check.rules)
            .filter(|rule| matches!(rule.comparator, Comparator::Gt | Comparator::Gte))
            .map(|rule| rule.limit.ceil())
            .filter(|limit| limit.is_finite() && *limit > 0.0)
            .max_by(f64::total_cmp)
            .map(whole)
    }

    /// The checks that are fed by queries, with those.
    pub fn queries(&self) -> impl Iterator<Item = (&ResolvedCheck, &Query)> {
        self.checks.iter().filter_map(|check| Some((check, check.query.as_ref()?)))
    }

    /// How far back any round looks: the tail of the ledger that [`crate::judge()`] needs. Absent without threshold checks: the
    /// sequential method remembers what it needs.
    #[must_use]
    pub fn longest_window(&self) -> Option<Window> {
        let rounds = self.checks.iter().filter(|check| check.method == Method::Threshold || check.has_fallback());
        rounds.map(|check| check.window).max()
    }

    /// The step of that index; one that is not in the plan (baking) has no dwell and waits for no verdict.
    #[must_use]
    pub fn step(&self, index: u32) -> ResolvedStep {
        usize::try_from(index).ok().and_then(|index| self.steps.get(index)).copied().unwrap_or_default()
    }

    /// The same with ticks of another length.
    #[must_use]
    pub fn at_tick(mut self, tick: Span) -> Self {
        let blind: Vec<Option<Span>> =
            self.sequential.gates.iter().map(|gate| Some(self.check_of(gate)?.max_blind)).collect();
        for (gate, max_blind) in self.sequential.gates.iter_mut().zip(blind) {
            gate.max_blind_ticks = max_blind.map_or(gate.max_blind_ticks, |span| ticks_of(span, tick));
        }
        Self { tick, ..self }
    }

    /// The check that a gate is of.
    #[must_use]
    pub fn check_of(&self, gate: &Gate) -> Option<&ResolvedCheck> {
        self.rules().nth(gate.rule).map(|(_, check, _)| check)
    }

    /// All rules, each with its check and the check's index.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (usize, &ResolvedCheck, &ResolvedRule)> {
        self.checks.iter().enumerate().flat_map(|(at, check)| check.rules.iter().map(move |rule| (at, check, rule)))
    }
}

/// What an older release resolved says no share.
fn is_unknown(share: &f64) -> bool {
    *share <= 0.0
}

/// How many ticks a length of time is, at least one.
pub(crate) fn ticks_of(span: Span, tick: Span) -> u32 {
    u32::try_from(span.0.div_ceil(tick.0.max(1))).unwrap_or(u32::MAX).max(1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast saturates above u64")]
fn whole(positive: f64) -> u64 {
    positive as u64
}
