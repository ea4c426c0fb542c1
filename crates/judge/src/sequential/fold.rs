//! One tick folded into the evidence, in the order of JUDGE section 6.5. Whatever sets a bet comes from earlier ticks: one step out of
//! order and the guarantee is void.

use serde::{Deserialize, Serialize};

use super::bets::{Past, Side, edge_of};
use super::dispersion::{Dispersion, is_replicated};
use super::gate::{GateState, Moment};
use super::learned::{Learned, OBSERVATIONS_MIN};
use super::numbers::{Numbers, series};
use super::plan::{Dispersed, Gate, Plan, Replicates, Test};
use super::quantile_edge::choose;
use crate::check::Action;
use crate::metric::SignalName;
use crate::signal::Signals;
use crate::tick::Tick;

/// How clumped counts are taken to be where nothing tells.
pub(crate) const PHI_UNKNOWN: f64 = 2.0;

/// Edges are picked anew after this many ticks.
const REPICK_TICKS: u64 = 20;

/// Everything that the sequential method remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) gates: Vec<GateState>,
    pub(crate) learned: Vec<Learned>,
    pub(crate) dispersions: Vec<Dispersion>,
    /// The first breach of the gates that roll back, and of those that hold or ask.
    pub(crate) breaches: [Option<Breach>; 2],
    /// The dispersion of each gate in the newest tick.
    pub(crate) phi: Vec<f64>,
    /// Totals of this step without its warm-up, of the candidate and of stable: for people, and for what it still takes.
    pub(crate) seen: [Signals; 2],
}

/// A breach, which no later tick takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Breach {
    /// Number of its tick.
    pub(crate) tick: u64,
    /// Index of the gate with the most evidence.
    pub(crate) culprit: usize,
}

/// The two classes of gates, by what their breach leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Those that roll back.
    Rollback = 0,
    /// Those that hold, or ask a person.
    Hold = 1,
}

impl Evidence {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            gates: plan.gates.iter().map(GateState::new).collect(),
            learned: plan.channels.iter().map(Learned::new).collect(),
            dispersions: plan.dispersions.iter().map(|_| Dispersion::default()).collect(),
            breaches: [None; 2],
            phi: Vec::new(),
            seen: [Signals::new(), Signals::new()],
        }
    }

    /// Learns the hour before the rollout: means and histograms first, then the dispersion of all of it at the edges picked from them.
    pub(crate) fn seed(plan: &Plan, ticks: &[Tick]) -> Self {
        let mut evidence = Self::new(plan);
        for tick in ticks {
            for (learned, channel) in evidence.learned.iter_mut().zip(&plan.channels) {
                let numbers = Numbers::of(channel, tick, learned.edges());
                learned.cut(&numbers);
                learned.learn(&numbers);
            }
        }
        evidence.pick_edges(plan);
        for tick in ticks {
            evidence.learn_dispersion(plan, tick);
        }
        evidence.dispersions.iter_mut().for_each(Dispersion::enter_step);
        evidence
    }

    /// Folds one tick.
    pub(crate) fn fold(&mut self, plan: &Plan, (alpha, beta): (f64, f64), tick: &Tick, now: &Moment) {
        if now.enters_step {
            self.enter_step(plan, now);
        }
        if now.t > 1 && (now.t - 1).is_multiple_of(REPICK_TICKS) {
            self.pick_edges(plan);
        }
        self.phi.clear();
        for gate in &plan.gates {
            self.phi.push(self.dispersed(plan, gate, tick));
        }
        for at in 0..plan.channels.len() {
            self.fold_channel((plan, at), (alpha, beta), tick, now);
        }
        self.decide(plan, alpha, now.t);
        if !now.warmup {
            self.see(plan, tick);
        }
        if now.stable_planned {
            self.learn_dispersion(plan, tick);
        }
    }

    /// What one channel has in a tick moves its gates, and is learned only then. Gates of other channels have no part in it.
    fn fold_channel(&mut self, (plan, at): (&Plan, usize), (alpha, beta): (f64, f64), tick: &Tick, now: &Moment) {
        let (Some(channel), Some(learned)) = (plan.channels.get(at), self.learned.get_mut(at)) else { return };
        let numbers = Numbers::of(channel, tick, learned.edges());
        learned.cut(&numbers);
        for ((state, gate), phi) in self.gates.iter_mut().zip(&plan.gates).zip(&self.phi) {
            if gate.channel != at || gate.is_relative() && !now.stable_planned {
                continue;
            }
            let scale = match gate.test {
                Test::Mean(items) | Test::MeanRatio(items) => learned.scale(items),
                _ => None,
            };
            let past = Past { learned, scale, phi: *phi, alpha, beta };
            state.see(gate, &numbers, now);
            state.attribute(gate, &numbers, now);
            state.update(gate, &numbers, &past, now);
        }
        if now.stable_planned {
            learned.learn(&numbers);
        }
    }

    /// The weighted sum of a class's e-values; none if it has no gates.
    pub(crate) fn total(&self, plan: &Plan, class: Class) -> Option<f64> {
        let members = || plan.gates.iter().zip(&self.gates).filter(|(gate, _)| class_of(gate) == Some(class));
        members().next()?;
        Some(members().map(|(gate, state)| gate.weight * state.value()).sum())
    }

    fn see(&mut self, plan: &Plan, tick: &Tick) {
        for (seen, signals) in self.seen.iter_mut().zip([&tick.candidate, &tick.stable]) {
            let is_read = |name: &SignalName| plan.channels.iter().any(|channel| channel.signal == *name);
            for (name, signal) in signals.iter().filter(|(name, signal)| is_read(name) && signal.is_sound()) {
                match seen.get_mut(name) {
                    Some(known) => known.add_or_follow(signal),
                    None => _ = seen.insert(name.clone(), signal.clone()),
                }
            }
        }
    }

    fn enter_step(&mut self, plan: &Plan, now: &Moment) {
        self.seen.iter_mut().for_each(Signals::clear);
        for (state, gate) in self.gates.iter_mut().zip(&plan.gates) {
            if !gate.is_relative() || now.stable_planned {
                state.enter_step(gate);
            }
        }
        if now.stable_planned {
            self.dispersions.iter_mut().for_each(Dispersion::enter_step);
        }
    }

    pub(crate) fn pick_edges(&mut self, plan: &Plan) {
        for (state, gate) in self.gates.iter_mut().zip(&plan.gates) {
            let (Test::QuantileRatio { q }, Some(tolerance)) = (gate.test, gate.tolerance) else { continue };
            let Some((edges, counts)) = self.learned.get(gate.channel).and_then(Learned::histogram) else { continue };
            if counts.iter().sum::<f64>() < OBSERVATIONS_MIN {
                continue;
            }
            let pick = |x| choose(edges, counts, q, x);
            state.edges = pick(tolerance).zip(pick(gate.limit)).map(|(a, b)| [a, b]).or(state.edges);
        }
    }

    fn decide(&mut self, plan: &Plan, alpha: f64, t: u64) {
        for class in [Class::Rollback, Class::Hold] {
            let is_breach = self.total(plan, class).is_some_and(|total| total >= 1.0 / alpha);
            if is_breach && self.breaches[class as usize].is_none() {
                let most = |best: Option<(usize, f64)>, at: usize| {
                    let value = plan.gates[at].weight * self.gates[at].value();
                    if best.is_some_and(|(_, most)| value <= most) { best } else { Some((at, value)) }
                };
                let members = (0..plan.gates.len()).filter(|at| class_of(&plan.gates[*at]) == Some(class));
                self.breaches[class as usize] =
                    members.fold(None, most).map(|(culprit, _)| Breach { tick: t, culprit });
            }
        }
    }

    fn learn_dispersion(&mut self, plan: &Plan, tick: &Tick) {
        for at in 0..self.dispersions.len() {
            let replicates = plan.dispersions[at];
            let edge = replicates.gate.and_then(|gate| counting_edge(&self.gates, &self.learned, (plan, gate)));
            let known = self.learned.get(replicates.channel).and_then(Learned::edges);
            self.dispersions[at].learn(series(&plan.channels[replicates.channel], tick, (edge, known)));
        }
    }

    /// The dispersion of a gate, from the past. Without replicates the estimate could only be 1, which would be too sure; whether there
    /// are any is a matter of exposure, which may be known.
    fn dispersed(&self, plan: &Plan, gate: &Gate, tick: &Tick) -> f64 {
        let at = match gate.phi {
            Dispersed::Stated(phi) | Dispersed::Assumed(phi) => return phi,
            Dispersed::Estimated(at) => at,
        };
        let (Some(known), Some(replicates)) = (self.dispersions.get(at), plan.dispersions.get(at)) else {
            return PHI_UNKNOWN;
        };
        let now = || series(&plan.channels[replicates.channel], tick, self.counting(plan, *replicates));
        let has_replicates = known.has_replicates() || is_replicated(now());
        if has_replicates { known.phi() } else { PHI_UNKNOWN }
    }

    /// The edge above which replicates are counted now, among the edges that are known.
    fn counting(&self, plan: &Plan, replicates: Replicates) -> (Option<usize>, Option<&[f64]>) {
        let edge = replicates.gate.and_then(|gate| counting_edge(&self.gates, &self.learned, (plan, gate)));
        (edge, self.learned.get(replicates.channel).and_then(Learned::edges))
    }
}

/// The edge above which a quantile gate counts now.
fn counting_edge(gates: &[GateState], learned: &[Learned], (plan, gate): (&Plan, usize)) -> Option<usize> {
    let (spec, state) = (plan.gates.get(gate)?, gates.get(gate)?);
    match spec.test {
        Test::QuantileRatio { .. } => state.edges.map(|[tolerance, _]| tolerance.at),
        Test::Quantile { .. } => edge_of(learned.get(spec.channel)?.edges()?, spec.limit, Side::Bet),
        _ => None,
    }
}

/// The class of a gate; a reported one has none.
pub(crate) fn class_of(gate: &Gate) -> Option<Class> {
    match gate.action {
        Action::Rollback => Some(Class::Rollback),
        Action::Hold | Action::Gate => Some(Class::Hold),
        Action::Report => None,
    }
}
