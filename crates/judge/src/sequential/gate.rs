//! The memory of one gate: its processes, and how a tick moves them (JUDGE sections 6.2, 6.3 and 6.5).

use serde::{Deserialize, Serialize};

use super::bets::{Past, Side, log_e};
use super::capital::Capital;
use super::grid::{DOWN, Grid, Points, UP, Z};
use super::log_e::share;
use super::numbers::Numbers;
use super::plan::{Gate, Test};
use super::quantile_edge::Edge;
use crate::tick::Arm;

/// A gate whose evidence reaches this part of what a breach needs, though it is proved to be within its limit, turns to the limit.
const LATCH_PART: f64 = 0.1;

/// A veto's capital stops at this many times what it needs, so that it can turn.
const VETO_CAP: f64 = 100.0;

/// What is remembered of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GateState {
    /// Against "at most the tolerance", or the absolute limit.
    bet: Capital,
    /// Against "at least the limit", for the whole rollout: relative gates only.
    veto: Option<Capital>,
    /// Phase B: against "at most the limit", once worse than the tolerance and proved within the limit.
    pub(crate) degraded: Option<Degraded>,
    /// Against "at most the floor".
    floor: Option<Floor>,
    /// Whether a broken absolute limit is the candidate's own doing.
    pub(crate) attribution: Attribution,
    /// Against "at or beyond the limit", in this step.
    proof: Capital,
    /// The largest value of that in this step; none before the first.
    pub(crate) proved: Option<f64>,
    /// Samples of the candidate in this step.
    pub(crate) samples: f64,
    /// Whether this step has given any evidence.
    pub(crate) has_evidence: bool,
    /// Ticks since the last evidence.
    pub(crate) blind_ticks: u32,
    /// Ticks in which the candidate had traffic and stable, which should have, had none.
    lone_ticks: u32,
    /// The edges of a relative quantile gate: for the tolerance, and for the limit.
    pub(crate) edges: Option<[Edge; 2]>,
}

/// Phase B.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Degraded {
    capital: f64,
    bet: Capital,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Floor {
    bet: Capital,
    proof: Capital,
}

/// The attribution process of an absolute gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Attribution {
    /// The gate does without.
    Unused,
    /// Against "at most as much as stable".
    In(Capital),
    /// The step leaves stable no traffic.
    Unplanned,
    /// Stable should have traffic and has none.
    Blind,
}

/// What a tick is to a gate.
pub(crate) struct Moment {
    /// Its number in the rollout.
    pub(crate) t: u64,
    /// Whether it is in the warm-up.
    pub(crate) warmup: bool,
    /// Whether the step leaves stable traffic.
    pub(crate) stable_planned: bool,
    /// Whether it is the first of a step that is not the rollout's first.
    pub(crate) enters_step: bool,
}

impl GateState {
    pub(crate) fn new(gate: &Gate) -> Self {
        let (up, down) = (up(gate.test), down(gate.test));
        Self {
            bet: Capital::patient(up, 1.0),
            veto: gate.is_relative().then(|| Capital::eager(down)),
            degraded: None,
            floor: gate.floor.map(|_| Floor { bet: Capital::patient(&UP, 1.0), proof: Capital::eager(&DOWN) }),
            attribution: if gate.attributed && !gate.is_relative() {
                Attribution::In(Capital::patient(up, 1.0))
            } else {
                Attribution::Unused
            },
            proof: Capital::eager(down),
            proved: None,
            samples: 0.0,
            has_evidence: false,
            blind_ticks: 0,
            lone_ticks: 0,
            edges: None,
        }
    }

    /// A step begins; a gate that rests in it is not touched.
    pub(crate) fn enter_step(&mut self, gate: &Gate) {
        let up = up(gate.test);
        if let Some(degraded) = self.degraded.take() {
            self.bet.restart(up, degraded.value().min(1.0));
        } else {
            self.bet.enter_step(up);
        }
        if let Attribution::In(process) = &mut self.attribution {
            process.enter_step(up);
        }
        if let Some(floor) = &mut self.floor {
            floor.bet.enter_step(&UP);
            floor.proof.restart_eager(&DOWN);
        }
        self.proof.restart_eager(down(gate.test));
        (self.proved, self.samples, self.has_evidence, self.blind_ticks) = (None, 0.0, false, 0);
    }

    /// Whether the gate has evidence in this tick, and for how long it had none.
    pub(crate) fn see(&mut self, gate: &Gate, numbers: &Numbers<'_>, now: &Moment) {
        if now.warmup {
            return;
        }
        let (candidate, stable) = (numbers.exposure(Arm::Candidate), numbers.exposure(Arm::Stable));
        self.samples += candidate;
        if candidate > 0.0 && (stable > 0.0 || !gate.is_relative()) {
            (self.has_evidence, self.blind_ticks) = (true, 0);
        } else {
            self.blind_ticks = self.blind_ticks.saturating_add(1);
        }
    }

    /// Takes the attribution out where stable can't tell anything, and back where it can again. Capital is only ever discarded, and
    /// when that happens depends on exposures alone.
    pub(crate) fn attribute(&mut self, gate: &Gate, numbers: &Numbers<'_>, now: &Moment) {
        let fresh = || Attribution::In(Capital::patient(up(gate.test), 1.0));
        if self.attribution == Attribution::Unused {
            return;
        }
        if !now.stable_planned {
            self.leave(gate, Attribution::Unplanned);
            return;
        }
        if now.enters_step && self.attribution == Attribution::Unplanned {
            self.attribution = fresh();
        }
        let (candidate, stable) = (numbers.exposure(Arm::Candidate), numbers.exposure(Arm::Stable));
        if stable > 0.0 {
            self.lone_ticks = 0;
            if self.attribution == Attribution::Blind {
                self.attribution = fresh();
            }
        } else if candidate > 0.0 && !now.warmup {
            self.lone_ticks = self.lone_ticks.saturating_add(1);
            if self.lone_ticks >= gate.max_blind_ticks {
                self.leave(gate, Attribution::Blind);
            }
        }
    }

    fn leave(&mut self, gate: &Gate, why: Attribution) {
        if matches!(self.attribution, Attribution::In(_)) {
            self.bet.restart(up(gate.test), self.value().min(1.0));
        }
        self.attribution = why;
    }

    /// Moves all processes by one tick. `alpha` and `beta` are the plan's.
    pub(crate) fn update(&mut self, gate: &Gate, numbers: &Numbers<'_>, past: &Past<'_>, now: &Moment) {
        let points = |side| if now.warmup { Points::default() } else { log_e(gate, side, numbers, past, self.edges) };
        let (t, phi) = (now.t, past.phi);
        let proof = points(Side::Proof);
        let (bet, hard) = match self.degraded {
            None => (points(Side::Bet), Points::default()),
            Some(_) => (Points::default(), points(Side::Limit)),
        };
        let attribution =
            if matches!(self.attribution, Attribution::In(_)) { points(Side::Attribution) } else { Points::default() };
        self.proof.update(down(gate.test), &proof, phi, t);
        if let (Some(floor), Some(at)) = (&mut self.floor, gate.floor) {
            let events = numbers.events(Arm::Candidate, None);
            let zero = now.warmup;
            let against = |grid: &Grid| if zero { Points::default() } else { share(grid, events, at) };
            floor.bet.update(&UP, &against(&UP), phi, t);
            floor.proof.update(&DOWN, &against(&DOWN), phi, t);
        }
        let proved =
            self.floor.as_ref().map_or(self.proof.value(), |floor| 0.5 * (self.proof.value() + floor.proof.value()));
        self.proved = Some(self.proved.map_or(proved, |best| best.max(proved)));
        if let Some(veto) = &mut self.veto {
            veto.update(down(gate.test), &proof, phi, t);
            veto.cap(VETO_CAP / past.beta);
        }
        match &mut self.degraded {
            Some(degraded) => degraded.bet.update(up(gate.test), &hard, phi, t),
            None => self.bet.update(up(gate.test), &bet, phi, t),
        }
        if let Attribution::In(process) = &mut self.attribution {
            process.update(up(gate.test), &attribution, phi, t);
        }
        self.latch(gate, past);
    }

    /// Worse than the tolerance, by much evidence, and proved to be within the limit: from the next tick on the limit alone counts.
    fn latch(&mut self, gate: &Gate, past: &Past<'_>) {
        let Some(veto) = self.veto.as_ref().filter(|_| self.degraded.is_none()) else { return };
        let capital = self.bet.value();
        if gate.weight * capital >= LATCH_PART / past.alpha && veto.value() >= 1.0 / past.beta {
            self.degraded = Some(Degraded { capital: capital.min(1.0), bet: Capital::patient(up(gate.test), 1.0) });
        }
    }

    /// The gate's e-value.
    pub(crate) fn value(&self) -> f64 {
        let value = self.degraded.as_ref().map_or_else(|| self.bet.value(), Degraded::value);
        match (&self.floor, &self.attribution) {
            (Some(floor), _) => value.min(floor.bet.value()),
            (None, Attribution::In(process)) => value.min(process.value()),
            (None, _) => value,
        }
    }

    /// The e-value against the limit alone, whoever is to blame.
    pub(crate) fn unattributed(&self) -> f64 {
        self.bet.value()
    }
}

impl Degraded {
    fn value(&self) -> f64 {
        self.capital * self.bet.value()
    }
}

/// The grid of bets against health, and of the attribution.
const fn up(test: Test) -> &'static Grid {
    match test {
        Test::MeanRatio(_) | Test::Mean(_) => &Z,
        _ => &UP,
    }
}

/// The grid of bets against the limit being reached.
const fn down(test: Test) -> &'static Grid {
    match test {
        Test::MeanRatio(_) | Test::Mean(_) => &Z,
        _ => &DOWN,
    }
}
