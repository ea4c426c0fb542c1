//! Four ways to judge the same ticks.

use anyhow::Context as _;
use judge::sequential::plan::{Dispersed, Plan as Gates, Replicates, Test};
use judge::{Outcome, Resolved, State, Tick, rule, seed};
use rollout::{Plan, Policy};

use super::kayenta::Kayenta;

/// In the order of [`Policies::methods`].
pub(super) const METHODS: [&str; 4] = ["tidegate", "thresholds", "Flagger-like", "Kayenta-like"];

/// The longest window of the thresholds is five minutes, in ticks of 15 s.
const TAIL: usize = 20;

/// What the methods go by.
#[derive(Debug)]
pub(super) struct Policies {
    /// The twelve gates of the reference; its steps are those of all.
    pub(super) plan: Plan,
    /// Its checks.
    pub(super) evidence: Resolved,
    thresholds: Resolved,
    flagger: Resolved,
}

/// One method in one rollout.
#[derive(Debug)]
pub(super) enum Method<'a> {
    Fold(&'a Resolved, Box<State>),
    Score(Box<Kayenta>),
}

/// What a method says to a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The candidate goes back.
    Back,
    /// Every rule is proved to be kept in this step; only evidence proves anything.
    Proved,
    Nothing,
}

impl Policies {
    pub(super) fn read() -> anyhow::Result<Self> {
        let read = |text| anyhow::Ok(Policy::from_yaml(text)?.plan()?);
        let checks = |text| read(text)?.checks.context("no checks");
        let mut plan = read(include_str!("../../../crates/simulate/twelve.yaml"))?;
        let evidence = plan.checks.as_mut().context("no checks")?;
        estimate(&mut evidence.sequential);
        Ok(Self {
            evidence: evidence.clone(),
            plan,
            thresholds: checks(include_str!("thresholds.yaml"))?,
            flagger: checks(include_str!("flagger.yaml"))?,
        })
    }

    /// The methods at the start of a rollout, before which stable had this hour.
    pub(super) fn methods(&self, hour: &[Tick]) -> [Method<'_>; METHODS.len()] {
        let fold = |resolved| Method::Fold(resolved, Box::new(seed(resolved, hour)));
        [fold(&self.evidence), fold(&self.thresholds), fold(&self.flagger), Method::Score(Box::default())]
    }
}

impl Method<'_> {
    /// Judges the last of the ticks of a step; the step may end with it.
    pub(super) fn judge(&mut self, ticks: &[Tick], is_last: bool) -> Said {
        match self {
            Self::Fold(resolved, state) => {
                let ruling = rule(resolved, state, &ticks[ticks.len().saturating_sub(TAIL)..]);
                match ruling.result {
                    Outcome::Breach => Said::Back,
                    Outcome::Pass | Outcome::Degraded if !resolved.sequential.is_empty() => Said::Proved,
                    _ => Said::Nothing,
                }
            }
            Self::Score(kayenta) => {
                if ticks.len() == 1 {
                    **kayenta = Kayenta::default();
                }
                let fails = ticks.last().is_some_and(|tick| kayenta.fails(tick, is_last));
                if fails { Said::Back } else { Said::Nothing }
            }
        }
    }
}

/// The pods are told apart here, as where Prometheus is read: how clumped requests are is estimated from stable's, as in the reference.
fn estimate(gates: &mut Gates) {
    let key = |test| match test {
        Test::QuantileRatio { q } | Test::Quantile { q } => Some(q),
        _ => None,
    };
    for at in 0..gates.gates.len() {
        let (channel, test) = (gates.gates[at].channel, gates.gates[at].test);
        let signal = &gates.channels[channel].signal;
        if signal.observed().is_some() {
            continue;
        }
        let is_same = |known: &Replicates| {
            known.channel == channel && known.gate.and_then(|gate| key(gates.gates[gate].test)) == key(test)
        };
        let known = gates.dispersions.iter().position(is_same).unwrap_or_else(|| {
            gates.dispersions.push(Replicates { channel, gate: key(test).map(|_| at) });
            gates.dispersions.len() - 1
        });
        // Where a quantile has a relative rule, its edge counts.
        if matches!(test, Test::QuantileRatio { .. }) {
            gates.dispersions[known].gate = Some(at);
        }
        gates.gates[at].phi = Dispersed::Estimated(known);
    }
}
