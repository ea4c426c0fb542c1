//! How evidence becomes a verdict: pure functions, no async, no I/O, no clock, no randomness.
//!
//! A policy's checks are read ([`check`]) and resolved ([`resolve()`]); readings of sources become ticks ([`collect`], by the rules of
//! [`series`]); [`judge()`] folds one tick into the [`State`] and answers with a [`Verdict`], by the table in [`decision`]; [`render()`]
//! turns a verdict into sentences. Same ticks, same verdicts, bit for bit.
//!
//! Checks are judged by one of two methods: [`sequential`] evidence over the whole rollout, with one guarantee for all looks together,
//! or a threshold on the value of a window, which has none. Objectives ([`slo`]) stand beside them and decide nothing.

pub mod caps;
pub mod check;
pub mod collect;
pub mod decision;
pub mod distinct;
pub mod edges;
mod fold;
pub mod metric;
mod murmur;
pub mod quantile;
pub mod query;
pub mod render;
pub mod resolve;
pub mod resolved;
mod scalar;
pub mod sequential;
pub mod series;
pub mod settings;
mod shape;
pub mod signal;
pub mod slo;
pub mod span;
pub mod state;
mod threshold;
pub mod tick;
pub mod verdict;
mod window;

pub use caps::Caps;
pub use check::{
    Action, Check, Comparator, FailureMode, Floor, Grader, Limit, Method, Phi, RuleName, RuleSet, Rules, Window,
};
pub use collect::scrapes::{Reply, Scraped, Scrapes};
pub use collect::{Collected, Collector, Notes, Reading};
pub use distinct::Distinct;
pub use fold::{judge, replay, rule, seed};
pub use metric::{Metric, SignalName};
pub use murmur::murmur3;
pub use quantile::{Quantile, quantile};
pub use query::{Query, Template};
pub use render::{deciding, evidence, outlook, render};
pub use resolve::{Problem, resolve};
pub use resolved::{Counter, Resolved, ResolvedCheck, ResolvedRule, ResolvedStep};
pub use settings::{Baseline, OnDegraded, OnInconclusive, Settings, StepShape};
pub use signal::{Counts, SeriesSignals, Signal, Signals, Spread};
pub use slo::{Objective, Slo};
pub use span::Span;
pub use state::State;
pub use tick::{Arm, Tick, Trouble};
pub use verdict::{
    CheckResult, ClassEvidence, Comparison, Decidable, Decision, Failures, GateEvidence, Guarantee, Outcome, Power,
    Progress, Reason, SplitEvidence, Verdict, Warning,
};

#[cfg(test)]
mod tests;
