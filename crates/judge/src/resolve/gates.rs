//! The gates of the sequential checks: one for each rule, with its share of alpha.

use super::Findings;
use crate::check::{Action, Attribution, Check, Comparator, Floor, Limit, Method, Phi, RuleSet, Rules};
use crate::metric::{Metric, SignalName};
use crate::resolved::{ResolvedCheck, ResolvedRule, ticks_of};
use crate::sequential::Bad;
use crate::sequential::fold::PHI_UNKNOWN;
use crate::sequential::plan::{Channel, Dispersed, Gate, Items, Plan, Replicates, Test, View, normalised, tolerance};
use crate::span::Span;

/// Raw weights of relative and absolute rules: relative ones find a worse candidate sooner, so they get more of alpha.
const WEIGHTS: (f64, f64) = (15.0, 4.0);

/// Where between no change and the limit the tolerance lies.
pub(super) const SENSITIVITY: f64 = 0.15;

/// Shares of bad events that are harmless whatever stable has: of requests, and of judged items.
const FLOORS: (f64, f64) = (0.001, 0.01);

/// The gates of all sequential checks. `checks` and `resolved` are the same, as written and filled in.
pub(super) fn plan(checks: &[Check], resolved: &[ResolvedCheck], tick: Span, findings: &mut Findings) -> Plan {
    let mut plan = Plan::default();
    let mut raw = Vec::new();
    let mut first = 0;
    for (at, (check, resolved)) in checks.iter().zip(resolved).enumerate() {
        if resolved.method == Method::Sequential {
            for (index, (set, rule)) in sets(check).zip(&resolved.rules).enumerate() {
                let gate = gate(&mut plan, (check, set), (resolved, rule), tick);
                raw.push(weight(set, &gate));
                plan.gates.push(Gate { rule: first + index, ..gate });
            }
            note(&format!("checks[{at}]"), check, resolved, findings);
        }
        first += resolved.rules.len();
    }
    for (gate, weight) in plan.gates.iter_mut().zip(normalised(&raw)) {
        gate.weight = weight;
    }
    plan
}

/// Values that are cut are cut at 0 too, and whoever says that they may be below it reads the same ones.
pub(super) fn negative(checks: &[Check], resolved: &[ResolvedCheck], findings: &mut Findings) {
    let all = || checks.iter().zip(resolved);
    let may_be_negative = |signal: &SignalName| {
        let of = |check: &Check| check.lo.as_ref().is_some_and(|lo| lo.value < 0.0);
        all().any(|(check, known)| known.kind.signal() == signal && of(check))
    };
    for (at, (check, known)) in all().enumerate() {
        let is_cut = known.method == Method::Sequential && is_uncapped(check, &known.kind);
        if is_cut && may_be_negative(known.kind.signal()) {
            let sentence = "another check says that these values may be below 0: write `lo` and `hi` here too";
            findings.refuse(format!("checks[{at}].hi"), sentence);
        }
    }
}

/// The map in which each rule was written, in the order of the resolved rules.
fn sets(check: &Check) -> impl Iterator<Item = &RuleSet> {
    check.rules.sets().iter().flat_map(|set| set.limits().map(move |_| set))
}

fn gate(
    plan: &mut Plan,
    (check, set): (&Check, &RuleSet),
    (resolved, rule): (&ResolvedCheck, &ResolvedRule),
    tick: Span,
) -> Gate {
    let (test, view, limit) = test(check, &resolved.kind, rule);
    let is_relative = rule.comparator.is_relative();
    let channel = channel(plan, resolved.kind.signal(), view);
    let counts =
        matches!(test, Test::Ratio | Test::Share | Test::Rate | Test::Quantile { .. } | Test::QuantileRatio { .. });
    let phi = match check.phi {
        Some(Phi::Fixed(phi)) => Dispersed::Stated(phi),
        _ if !counts || resolved.kind.is_judged() => Dispersed::Stated(1.0),
        // Routers spread over all replicas, so they are none of each other.
        _ if resolved.query.is_none() => Dispersed::Assumed(PHI_UNKNOWN),
        _ => Dispersed::Estimated({
            let counted = counted(plan, &resolved.kind, channel);
            replicates(plan, counted, test)
        }),
    };
    let is_share = test == Test::Ratio && matches!(resolved.kind, Metric::Proportion { .. });
    let floors = if resolved.kind.is_judged() { FLOORS.1 } else { FLOORS.0 };
    let floor = match &set.floor {
        Some(Floor::None) => None,
        Some(Floor::At(Limit { value, .. })) => Some(*value),
        None => Some(floors),
    };
    Gate {
        rule: 0,
        channel,
        test,
        limit,
        tolerance: is_relative.then(|| tolerance(limit, check.sensitivity.unwrap_or(SENSITIVITY))),
        floor: floor.filter(|floor| is_share && *floor > 0.0 && *floor < 1.0),
        attributed: !is_relative && set.attribution != Some(Attribution::None),
        weight: 0.0,
        phi,
        action: resolved.action,
        min_samples: resolved.min_samples,
        max_blind_ticks: ticks_of(resolved.max_blind, tick),
    }
}

/// How a rule is tested, on which numbers, against which limit.
fn test(check: &Check, kind: &Metric, rule: &ResolvedRule) -> (Test, View, f64) {
    let fears_decrease = rule.comparator.fears_decrease();
    let bad = if fears_decrease { Bad::Decrease } else { Bad::Increase };
    let items = |binary| Items {
        bad,
        lo: check.lo.as_ref().map_or(0.0, |lo| lo.value),
        hi: if binary { Some(1.0) } else { check.hi.as_ref().map(|hi| hi.value) },
        binary,
    };
    let bounds = items(false).hi.map(|hi| (items(false).lo, hi));
    let sums = View::Sums { complement: false, bounds, squareless: check.query.is_some() };
    match (kind, rule.comparator) {
        (Metric::Proportion { complement, .. }, Comparator::RelativeDecrease) => (
            Test::MeanRatio(items(true)),
            View::Sums { complement: *complement, bounds: Some((0.0, 1.0)), squareless: false },
            1.0 - rule.limit,
        ),
        (Metric::Proportion { complement, .. }, Comparator::RelativeIncrease) => {
            (Test::Ratio, View::Events { complement: *complement }, rule.limit)
        }
        // A least share of good events is a largest share of bad ones.
        (Metric::Proportion { complement, .. }, _) => {
            let limit = if fears_decrease { 1.0 - rule.limit } else { rule.limit };
            (Test::Share, View::Events { complement: *complement != fears_decrease }, limit)
        }
        (Metric::Rate { .. }, comparator) => {
            (if comparator.is_relative() { Test::Ratio } else { Test::Rate }, View::Occurrences, rule.limit)
        }
        (Metric::Quantile { percent, .. }, comparator) => {
            let q = f64::from(*percent) / 100.0;
            let test = if comparator.is_relative() { Test::QuantileRatio { q } } else { Test::Quantile { q } };
            (test, View::Histogram, rule.limit)
        }
        (_, Comparator::RelativeDecrease) => (Test::MeanRatio(items(false)), sums, 1.0 - rule.limit),
        (_, Comparator::RelativeIncrease) => (Test::MeanRatio(items(false)), sums, rule.limit),
        (..) => (Test::Mean(items(false)), sums, rule.limit),
    }
}

fn channel(plan: &mut Plan, signal: &SignalName, view: View) -> usize {
    let channel = Channel { signal: signal.clone(), view };
    plan.channels.iter().position(|known| *known == channel).unwrap_or_else(|| {
        plan.channels.push(channel);
        plan.channels.len() - 1
    })
}

/// Where replicas are counted: bad events also where a gate reads the sums of good ones.
fn counted(plan: &mut Plan, kind: &Metric, channel: usize) -> usize {
    match kind {
        Metric::Proportion { signal, complement } if matches!(plan.channels[channel].view, View::Sums { .. }) => {
            self::channel(plan, signal, View::Events { complement: *complement })
        }
        _ => channel,
    }
}

/// One estimate for each channel, and for each quantile of a histogram: at the edge of its relative gate, if it has one.
fn replicates(plan: &mut Plan, channel: usize, test: Test) -> usize {
    let (Test::Quantile { q } | Test::QuantileRatio { q }) = test else {
        let known = plan.dispersions.iter().position(|known| known.channel == channel);
        return known.unwrap_or_else(|| add(plan, Replicates { channel, gate: None }));
    };
    let gate = plan.gates.len();
    let quantile = |gate: &Gate| match gate.test {
        Test::Quantile { q } | Test::QuantileRatio { q } if gate.channel == channel => Some(q),
        _ => None,
    };
    let known = plan
        .dispersions
        .iter()
        .position(|known| known.gate.and_then(|gate| plan.gates.get(gate)).and_then(quantile) == Some(q));
    let Some(known) = known else { return add(plan, Replicates { channel, gate: Some(gate) }) };
    if matches!(test, Test::QuantileRatio { .. }) {
        plan.dispersions[known].gate = Some(gate);
    }
    known
}

fn add(plan: &mut Plan, replicates: Replicates) -> usize {
    plan.dispersions.push(replicates);
    plan.dispersions.len() - 1
}

fn weight(set: &RuleSet, gate: &Gate) -> f64 {
    let default = if gate.is_relative() { WEIGHTS.0 } else { WEIGHTS.1 };
    if gate.action == Action::Report { 0.0 } else { set.weight.unwrap_or(default) }
}

/// What a writer should know about clumped counts, and about values without a bound.
fn note(path: &str, check: &Check, resolved: &ResolvedCheck, findings: &mut Findings) {
    if is_uncapped(check, &resolved.kind) {
        let sentence = "hi: values are cut at 0 and at ten times stable's mean or more, a power of two that is fixed once from its values \
                        (write the largest value that can be, and none is cut)";
        findings.note(path, sentence);
    }
    let counts = matches!(resolved.kind, Metric::Proportion { .. } | Metric::Quantile { .. });
    if counts && resolved.query.is_none() && !resolved.kind.is_judged() && !matches!(check.phi, Some(Phi::Fixed(_))) {
        let sentence = "phi: 2 (routers count over all replicas, so how clumped failures are can't be estimated; write `phi: 1` if \
                        requests are independent, which decides twice as soon)";
        findings.note(path, sentence);
    }
}

/// Why a check that names no method is judged by the threshold one, if it is.
pub(super) fn obstacle(check: &Check, kind: &Metric) -> Option<String> {
    if let Some((name, _)) = idle(check).into_iter().find(|(_, given)| *given) {
        return Some(format!("`{name}` is of that method"));
    }
    if has_no_ratio(check, kind) {
        return Some("the sequential one compares with stable only what is never below 0".to_owned());
    }
    if is_unbounded(check, kind) {
        return Some("the sequential one needs `hi`, the largest value that can be".to_owned());
    }
    let mut limits = check.rules.sets().iter().flat_map(RuleSet::limits);
    limits.find_map(|(name, limit)| untestable(check, kind, name.comparator(), limit))
}

/// Everything that keeps the sequential method from judging a check.
pub(super) fn refusals(path: &str, check: &Check, kind: &Metric, findings: &mut Findings) {
    let field = |name: &str| format!("{path}.{name}");
    for (name, _) in idle(check).iter().filter(|(_, given)| *given) {
        findings.refuse(field(name), "for the threshold method only: remove it, or write `method: threshold`");
    }
    if is_unbounded(check, kind) {
        let sentence = "the sequential method needs the largest value that can be: write it, such as hi: 1, or `method: threshold`";
        findings.refuse(field("hi"), sentence);
    }
    if has_no_ratio(check, kind) {
        findings.refuse(
            field("lo"),
            "below 0 there is no ratio to stable: write an absolute limit, or `method: threshold`",
        );
    }
    for (at, set) in check.rules.sets().iter().enumerate() {
        let path = match &check.rules {
            Rules::One(_) => field("rules"),
            Rules::List(_) => field(&format!("rules[{at}]")),
        };
        for (name, limit) in set.limits() {
            if let Some(message) = untestable(check, kind, name.comparator(), limit) {
                findings.refuse(format!("{path}.{}", name.as_str()), format!("{message}: write `method: threshold`"));
            }
        }
    }
}

/// The fields that the sequential method has no use for, and whether they are given.
const fn idle(check: &Check) -> [(&'static str, bool); 5] {
    [
        ("failure_limit", check.failure_limit.is_some()),
        ("failure_mode", check.failure_mode.is_some()),
        ("failure_group", check.failure_group.is_some()),
        ("interval", check.interval.is_some()),
        ("window", check.window.is_some()),
    ]
}

/// Whether values have no bound and can't be given one: a store has only their sums, and what may be negative is not cut.
fn is_unbounded(check: &Check, kind: &Metric) -> bool {
    let may_be_negative = check.lo.as_ref().is_some_and(|lo| lo.value != 0.0);
    is_uncapped(check, kind) && (check.query.is_some() || may_be_negative)
}

/// Whether nobody has said how large values can be.
const fn is_uncapped(check: &Check, kind: &Metric) -> bool {
    matches!(kind, Metric::Mean { .. }) && check.hi.is_none()
}

/// Whether a mean that may be negative is to be compared with stable: a factor would turn its direction around.
fn has_no_ratio(check: &Check, kind: &Metric) -> bool {
    let mut limits = check.rules.sets().iter().flat_map(RuleSet::limits);
    matches!(kind, Metric::Mean { .. })
        && check.lo.as_ref().is_some_and(|lo| lo.value < 0.0)
        && limits.any(|(name, _)| name.comparator().is_relative())
}

/// Why no test of the sequential method fits a limit.
fn untestable(check: &Check, kind: &Metric, comparator: Comparator, limit: &Limit) -> Option<String> {
    let is_edge = limit.value == 0.0 || limit.value == 1.0;
    let lo = check.lo.as_ref().map_or(0.0, |lo| lo.value);
    match kind {
        Metric::Quantile { .. } if comparator.fears_decrease() => {
            Some("the sequential one guards a quantile against increases only".to_owned())
        }
        Metric::Mean { .. } if !comparator.is_relative() && limit.value <= lo => {
            Some(format!("{} is not above {lo}, the least value that can be (`lo`)", limit.text))
        }
        Metric::Rate { .. } if comparator.fears_decrease() => {
            Some("the sequential one guards a rate against increases only".to_owned())
        }
        Metric::Rate { .. } if !comparator.is_relative() && limit.value == 0.0 => {
            Some("0 can't be told from chance, as 0.0001 can".to_owned())
        }
        Metric::Proportion { .. } if !comparator.is_relative() && is_edge => {
            Some(format!("{} can't be told from chance, as 0.0001 or 0.9999 can", limit.text))
        }
        _ => None,
    }
}
