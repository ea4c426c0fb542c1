//! The sequential gates told as part of a verdict.

use libm::log;

use crate::check::{Action, Method};
use crate::resolved::{Resolved, ResolvedCheck, ResolvedRule};
use crate::sequential::dispersion::Dispersion;
use crate::sequential::fold::{Class, Evidence};
use crate::sequential::gate::{Attribution, Moment};
use crate::sequential::outlook;
use crate::sequential::plan::{Dispersed, Gate, Test, View};
use crate::sequential::{interval, numbers, standing as gates};
use crate::settings::Baseline;
use crate::state::{Round, State};
use crate::verdict::{
    CheckResult, ClassEvidence, Comparison, Decidable, GateEvidence, Outcome, Power, Progress, Reason, Warning,
};
use crate::window::value;

/// Odds from which a rule is told among the issues of a verdict.
const TOLD_ODDS: f64 = 20.0;

/// A rule of the policy: its index among all rules, and itself.
type Rule<'a> = (usize, &'a ResolvedCheck, &'a ResolvedRule);

/// What a sequential rule has come to: its numbers as a round that was held now, and its evidence.
pub(super) struct Entry {
    pub(super) round: Round,
    pub(super) gate: GateEvidence,
}

/// A sequential rule's result and reason; none for a rule of the threshold method.
pub(super) fn standing(resolved: &Resolved, state: &State, rule: Rule<'_>) -> Option<(Outcome, Option<Reason>)> {
    let at = gate(resolved, state, rule)?;
    let (Some(last), Some(evidence)) = (state.last, &state.evidence) else {
        return Some((Outcome::NoData, Some(Reason::NoEvidenceYet)));
    };
    let now = Moment { t: last.tick, warmup: last.warmup, stable_planned: last.stable_planned, enters_step: false };
    Some(gates::standing(&resolved.sequential, evidence, at, &now, (resolved.alpha, resolved.beta)))
}

/// The numbers of a sequential rule; none for one of the threshold method, or before the first tick.
pub(super) fn entry(resolved: &Resolved, state: &State, rule: Rule<'_>, result: Outcome) -> Option<Entry> {
    let at = gate(resolved, state, rule)?;
    let (_, check, rule) = rule;
    let (evidence, plan) = (state.evidence.as_ref()?, &resolved.sequential);
    let (gate, known) = (plan.gates.get(at)?, evidence.gates.get(at)?);
    let measured = |arm: usize| evidence.seen[arm].get(check.kind.signal()).and_then(|seen| value(&check.kind, seen));
    let odds = known.value();
    let is_told = result == Outcome::Breach || (odds >= TOLD_ODDS && result != Outcome::NotApplicable);
    let is_relative = rule.comparator.is_relative();
    let round = Round {
        elapsed_ms: state.last?.elapsed_ms,
        result: if is_told { Outcome::Breach } else { result },
        reason: None,
        comparison: if is_relative { Comparison::Concurrent } else { Comparison::None },
        candidate: measured(0),
        stable: measured(1).filter(|_| is_relative),
    };
    let phi = evidence.phi.get(at).copied().unwrap_or(1.0);
    let accepted = known.proved.unwrap_or(0.0);
    let is_open = accepted < 1.0 / resolved.beta && result != Outcome::NotApplicable;
    let gate = GateEvidence {
        ln_e: log(gate.weight * odds).max(f64::MIN),
        odds,
        odds_needed: if gate.weight > 0.0 { 1.0 / (resolved.alpha * gate.weight) } else { f64::MAX },
        accepted,
        accept_needed: 1.0 / resolved.beta,
        phi,
        interval: ratio(gate, evidence, resolved, phi),
        samples_needed: is_open.then(|| outlook::still_needed(plan, evidence, at, resolved.beta)).flatten(),
    };
    Some(Entry { round, gate })
}

/// What a reader of a sequential rule's numbers should know.
pub(super) fn warnings(resolved: &Resolved, state: &State, rule: usize) -> Vec<Warning> {
    let Some(at) = resolved.sequential.gates.iter().position(|gate| gate.rule == rule) else { return Vec::new() };
    let gate = &resolved.sequential.gates[at];
    let is_alone = state
        .evidence
        .as_ref()
        .and_then(|evidence| evidence.gates.get(at))
        .is_some_and(|known| known.attribution == Attribution::Blind);
    let view = resolved.sequential.channels.get(gate.channel).map(|channel| channel.view);
    let is_squareless = matches!(view, Some(View::Sums { squareless: true, .. }));
    let is_unknown = match gate.phi {
        Dispersed::Stated(_) => false,
        Dispersed::Assumed(_) => true,
        Dispersed::Estimated(of) => {
            let known = state.evidence.as_ref().and_then(|evidence| evidence.dispersions.get(of));
            !known.is_some_and(Dispersion::has_replicates)
        }
    };
    let found = [
        (is_alone, Warning::Unattributed),
        (is_squareless, Warning::NoSquares),
        (is_unknown, Warning::DispersionUnknown),
    ];
    found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning).collect()
}

/// The evidence of each class that has gates.
pub(super) fn classes(resolved: &Resolved, state: &State) -> Vec<ClassEvidence> {
    let Some(evidence) = &state.evidence else { return Vec::new() };
    let plan = &resolved.sequential;
    let class = |(class, action): (Class, Action)| {
        let total = evidence.total(plan, class)?;
        let culprit = evidence.breaches[class as usize].and_then(|breach| plan.gates.get(breach.culprit));
        let metric = |gate: &Gate| resolved.rules().nth(gate.rule).map(|(_, check, _)| check.metric.clone());
        Some(ClassEvidence {
            class: action,
            ln_total: log(total).max(f64::MIN),
            odds: total,
            odds_needed: 1.0 / resolved.alpha,
            alpha: resolved.alpha,
            culprit: culprit.and_then(metric),
        })
    };
    [(Class::Rollback, Action::Rollback), (Class::Hold, Action::Hold)].into_iter().filter_map(class).collect()
}

/// What it still takes until every rule is expected to be proved; none if that can't be told of each. `judged_ms` is the time of this
/// step that counted.
pub(super) fn power(checks: &[CheckResult], judged_ms: i64, beta: f64, window: &Progress) -> Option<Power> {
    let is_open = |check: &&CheckResult| {
        let is_counted = check.action != Action::Report && check.result != Outcome::NotApplicable;
        is_counted && check.evidence.is_some_and(|found| found.accepted < 1.0 / beta)
    };
    let needs = checks.iter().filter(is_open).map(|check| {
        let needed = check.evidence.as_ref()?.samples_needed?;
        let per_second = check.n_candidate.filter(|n| *n > 0.0)? * 1000.0 / judged_ms.max(1) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast saturates")]
        let seconds = (needed as f64 / per_second).ceil() as u64;
        Some(Power { decidable: decidable(seconds, window), samples_needed: needed, eta_seconds: seconds })
    });
    let slowest = |best: Power, next: Power| if next.eta_seconds > best.eta_seconds { next } else { best };
    needs.collect::<Option<Vec<_>>>()?.into_iter().reduce(slowest)
}

/// Whether so many seconds are left of the step.
fn decidable(seconds: u64, window: &Progress) -> Decidable {
    let end_ms = window.elapsed.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000));
    match end_ms {
        end if end <= window.dwell_until => Decidable::Yes,
        end if end <= window.budget_until => Decidable::WithExtension,
        _ => Decidable::No,
    }
}

/// The gate of a rule that the sequential method judges in this step.
fn gate(resolved: &Resolved, state: &State, (at, check, rule): Rule<'_>) -> Option<usize> {
    let is_planned = state.last.is_none_or(|last| last.stable_planned);
    let falls_back = check.baseline == Baseline::Fallback && rule.comparator.is_relative() && !is_planned;
    if check.method != Method::Sequential || falls_back {
        return None;
    }
    resolved.sequential.gates.iter().position(|gate| gate.rule == at)
}

/// The ratio of shares in this step, with its interval; rates have none.
fn ratio(gate: &Gate, evidence: &Evidence, resolved: &Resolved, phi: f64) -> Option<interval::Interval> {
    let channel = resolved.sequential.channels.get(gate.channel).filter(|_| gate.test == Test::Ratio)?;
    if channel.view == View::Occurrences {
        return None;
    }
    let events = |arm: usize| Some(numbers::read(evidence.seen[arm].get(&channel.signal)?, channel.view));
    interval::ratio(events(0)?, events(1)?, phi)
}
