//! The threshold method for one rule in one round (JUDGE section 8): a value against a limit, nothing remembered.

use crate::check::Comparator;
use crate::resolved::ResolvedRule;
use crate::verdict::{Outcome, Reason};

/// Relative distance at which two numbers count as equal.
const EQUAL: f64 = 1e-12;

/// Upper bound of a rate, at 95 %, of which no event was seen, is this over the exposure (rule of three).
const RULE_OF_THREE: f64 = 3.0;

/// What an arm's window comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// The value.
    pub(crate) value: f64,
    /// What it is based on; absent for a gauge.
    pub(crate) n: Option<f64>,
}

/// The result of one rule in one round; an absent sample is an arm without data.
pub(crate) fn evaluate(
    rule: &ResolvedRule,
    min_samples: u64,
    candidate: Option<Sample>,
    stable: Option<Sample>,
) -> (Outcome, Option<Reason>) {
    let candidate = match present(candidate, Reason::NoCandidateData) {
        Ok(sample) => sample,
        Err(reason) => return (Outcome::NoData, Some(reason)),
    };
    let is_enough = |sample: &Sample| sample.n.is_none_or(|n| n >= min_samples as f64);
    if !rule.comparator.is_relative() {
        if !is_enough(&candidate) {
            return (Outcome::Inconclusive, Some(Reason::TooFewSamples));
        }
        return (verdict_of(breaks(rule.comparator, candidate.value, rule.limit)), None);
    }
    let stable = match present(stable, Reason::NoStableData) {
        Ok(sample) => sample,
        Err(reason) => return (Outcome::NoData, Some(reason)),
    };
    if !is_enough(&candidate) || !is_enough(&stable) {
        return (Outcome::Inconclusive, Some(Reason::TooFewSamples));
    }
    if stable.value < 0.0 {
        return (Outcome::Inconclusive, Some(Reason::StableIsNegative));
    }
    if rule.comparator == Comparator::RelativeDecrease {
        let line = stable.value * (1.0 - rule.limit);
        return (verdict_of(stable.value > 0.0 && breaks(Comparator::Lt, candidate.value, line)), None);
    }
    increase(rule, candidate.value, stable)
}

/// Whether a value breaks a fixed limit.
fn breaks(comparator: Comparator, value: f64, limit: f64) -> bool {
    let equal = (value - limit).abs() <= EQUAL * value.abs().max(limit.abs());
    match comparator {
        Comparator::Gt | Comparator::RelativeIncrease => value > limit && !equal,
        Comparator::Gte => value > limit || equal,
        Comparator::Lt | Comparator::RelativeDecrease => value < limit && !equal,
        Comparator::Lte => value < limit || equal,
    }
}

fn increase(rule: &ResolvedRule, value: f64, stable: Sample) -> (Outcome, Option<Reason>) {
    if rule.floor.is_some_and(|floor| !breaks(Comparator::Gt, value, floor)) {
        return (Outcome::Pass, Some(Reason::BelowFloor));
    }
    if stable.value > 0.0 {
        return (verdict_of(breaks(Comparator::Gt, value, stable.value * rule.limit)), None);
    }
    if value <= 0.0 {
        return (Outcome::Pass, None);
    }
    let result = match (rule.floor, stable.n) {
        (Some(_), _) => Outcome::Breach,
        (None, Some(n)) => verdict_of(breaks(Comparator::Gt, value, rule.limit * RULE_OF_THREE / n)),
        (None, None) => Outcome::Inconclusive,
    };
    (result, Some(Reason::StableIsZero))
}

fn present(sample: Option<Sample>, absent: Reason) -> Result<Sample, Reason> {
    let sample = sample.filter(|sample| sample.n.is_none_or(|n| n > 0.0 || n.is_nan())).ok_or(absent)?;
    if sample.value.is_finite() && sample.n.is_none_or(f64::is_finite) { Ok(sample) } else { Err(Reason::NotANumber) }
}

const fn verdict_of(broken: bool) -> Outcome {
    if broken { Outcome::Breach } else { Outcome::Pass }
}
