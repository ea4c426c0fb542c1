//! What a gate has come to after a tick: the first row of JUDGE section 9 that holds.

use super::fold::{Breach, Evidence};
use super::gate::{Attribution, GateState, Moment};
use super::plan::{Gate, Plan, Test};
use crate::verdict::{Outcome, Reason};

/// The result of a gate and why.
pub(crate) fn standing(
    plan: &Plan,
    evidence: &Evidence,
    at: usize,
    now: &Moment,
    (alpha, beta): (f64, f64),
) -> (Outcome, Option<Reason>) {
    let (Some(gate), Some(state)) = (plan.gates.get(at), evidence.gates.get(at)) else {
        return (Outcome::NoData, Some(Reason::NoEvidenceYet));
    };
    let is_culprit = evidence.breaches.iter().flatten().any(|breach: &Breach| breach.culprit == at);
    if is_culprit {
        return (Outcome::Breach, None);
    }
    if gate.is_relative() && !now.stable_planned {
        return (Outcome::NotApplicable, Some(Reason::NoStableArm));
    }
    if now.warmup {
        return (Outcome::Inconclusive, Some(Reason::WarmingUp));
    }
    if !state.has_evidence {
        return (Outcome::NoData, Some(Reason::NoEvidenceYet));
    }
    if state.blind_ticks >= gate.max_blind_ticks {
        return (Outcome::NoData, Some(Reason::Blind));
    }
    let unproved = match gate.test {
        Test::Mean(items) | Test::MeanRatio(items)
            if !evidence.learned.get(gate.channel).is_some_and(|learned| learned.has_bound(items)) =>
        {
            Some(Reason::NoBound)
        }
        _ => undecided(gate, state, alpha, beta),
    };
    match unproved {
        Some(reason) => (Outcome::Inconclusive, Some(reason)),
        None if state.degraded.is_some() => (Outcome::Degraded, Some(Reason::WorseWithinLimit)),
        None => (Outcome::Pass, None),
    }
}

fn undecided(gate: &Gate, state: &GateState, alpha: f64, beta: f64) -> Option<Reason> {
    let needed = 1.0 / alpha;
    let is_common = matches!(state.attribution, Attribution::In(_))
        && gate.weight * state.unattributed() >= needed
        && gate.weight * state.value() < needed;
    if is_common {
        return Some(Reason::Environment);
    }
    if state.proved.is_none_or(|proved| proved < 1.0 / beta) {
        return Some(Reason::Undecided);
    }
    (state.samples < gate.min_samples as f64).then_some(Reason::TooFewSamples)
}
