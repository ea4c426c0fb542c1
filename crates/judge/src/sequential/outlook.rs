//! What it still takes until a gate is proved healthy, if the candidate equals stable (JUDGE section 13).

use super::bets::{Side, edge_of};
use super::fold::Evidence;
use super::learned::Learned;
use super::log_e::Events;
use super::numbers::read;
use super::plan::{Gate, Plan, Test};
use super::power::{Expected, Goal, samples};

/// Samples of the candidate that the proof of a gate is still expected to take; none if too little is known to tell.
pub(crate) fn still_needed(plan: &Plan, evidence: &Evidence, at: usize, beta: f64) -> Option<u64> {
    let (gate, known) = (plan.gates.get(at)?, evidence.gates.get(at)?);
    let phi = evidence.phi.get(at).copied().unwrap_or(1.0);
    // With a floor the proof is the mean of two, either of which has to carry both.
    let beta = if gate.floor.is_some() { beta / 2.0 } else { beta };
    let needed = |expected: Expected| samples(Goal::Accept { beta }, &expected, phi).expected;
    let by_test = expected(plan, evidence, gate).map(needed);
    let by_floor = gate.floor.zip(share_of(plan, evidence, gate)).map(|(p0, p)| needed(Expected::Share { p, p0 }));
    let least = by_test.into_iter().chain(by_floor).fold(f64::INFINITY, f64::min);
    let needed = least.max(gate.min_samples as f64) - known.samples;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast saturates")]
    let whole = needed.max(1.0).ceil() as u64;
    least.is_finite().then_some(whole)
}

fn expected(plan: &Plan, evidence: &Evidence, gate: &Gate) -> Option<Expected> {
    let channel = plan.channels.get(gate.channel)?;
    let learned = evidence.learned.get(gate.channel)?;
    let exposure = |arm: usize| evidence.seen[arm].get(&channel.signal).and_then(crate::signal::Signal::exposure);
    let share = || {
        let (candidate, stable) = (exposure(0)?, exposure(1)?);
        (candidate > 0.0 && stable > 0.0).then(|| candidate / (candidate + stable))
    };
    let bad = || share_of(plan, evidence, gate);
    let edges =
        evidence.gates.iter().zip(&plan.gates).find(|(_, known)| *known == gate).and_then(|(known, _)| known.edges);
    match gate.test {
        Test::Ratio => Some(Expected::Ratio { p: bad()?, effect: 1.0, rho: gate.limit, share: share()? }),
        Test::Share => Some(Expected::Share { p: bad()?, p0: gate.limit }),
        Test::Rate => Some(Expected::Rate { lambda: bad()?, lambda0: gate.limit }),
        Test::QuantileRatio { .. } => {
            let [_, limit] = edges?;
            let p = tail(learned, limit.at)?;
            Some(Expected::Ratio { p, effect: 1.0, rho: limit.kappa, share: share()? })
        }
        Test::Quantile { q } => {
            let (edges, _) = learned.histogram()?;
            Some(Expected::Share { p: tail(learned, edge_of(edges, gate.limit, Side::Proof)?)?, p0: 1.0 - q })
        }
        Test::MeanRatio(items) | Test::Mean(items) => {
            let scale = learned.scale(items)?;
            let is_relative = gate.is_relative();
            Some(Expected::Mean {
                m: scale.m,
                sd: scale.sd,
                bounds: (scale.lo, scale.hi),
                effect: 1.0,
                rho: if is_relative { gate.limit } else { gate.limit / scale.m },
                bad: items.bad,
                share: if is_relative { Some(share()?) } else { None },
            })
        }
    }
}

/// The share of bad events in this step: of stable where it has traffic, else of the candidate.
fn share_of(plan: &Plan, evidence: &Evidence, gate: &Gate) -> Option<f64> {
    let channel = plan.channels.get(gate.channel)?;
    let events = |arm: usize| evidence.seen[arm].get(&channel.signal).map(|signal| read(signal, channel.view));
    events(1).or_else(|| events(0)).filter(|seen| seen.n > 0.0).map(|Events { k, n }| k / n)
}

/// The share of stable's histogram above an edge.
fn tail(learned: &Learned, at: usize) -> Option<f64> {
    let (_, counts) = learned.histogram()?;
    let total: f64 = counts.iter().sum();
    (total > 0.0).then(|| counts.iter().skip(at + 1).sum::<f64>() / total)
}
