//! Where the values of a mean are cut, if the policy does not say how large they can be (JUDGE section 5).
//!
//! A bet on a mean needs a bound, or one value could ruin it. A cap is fixed once for the rollout, from what stable did before: ten
//! times its mean, twice the limit, or the size of the values that make up its mean (`s2/s1`), whichever is largest, at the next power
//! of two. So hardly a value of stable is cut, and neither a mean above the limit nor a rare large value hides behind it. Routers and callers
//! count values by size ([`Spread`]), so nobody has to know the cap when a value is seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::SignalName;
use crate::resolved::{Resolved, ResolvedCheck, ResolvedRule};
use crate::sequential::plan::{Channel, View};
use crate::signal::{Signal, Signals, Spread};
use crate::tick::Tick;

/// The cap, in means of stable.
const MEANS: f64 = 10.0;

/// The cap, in limits.
const LIMITS: f64 = 2.0;

/// Fewest values of stable from which a cap is fixed.
const VALUES_MIN: f64 = 20.0;

/// The least cap where all that is known is 0.
const CAP_OF_NOTHING: f64 = 1.0;

/// The caps of a rollout, by observation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Caps(BTreeMap<SignalName, Cap>);

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cap {
    /// Too few values are known: so many, with these sums of them and of their squares.
    Learning { n: f64, s1: f64, s2: f64 },
    /// Values are cut there; absent if no cap is as large as it would have to be.
    Fixed(Option<f64>),
}

impl Caps {
    /// What the hour before the rollout tells; each tick is a part of it.
    #[must_use]
    pub fn of(resolved: &Resolved, hour: &[Tick]) -> Self {
        let mut caps = Self::default();
        caps.learn_of(resolved);
        for (name, cap) in &mut caps.0 {
            hour.iter().for_each(|part| cap.learn(part.stable.get(name)));
        }
        caps.fix(resolved);
        caps
    }

    /// Cuts what leaves in a tick, and learns from what stable did in it for those that come. Values that were not counted by size
    /// are nothing once there is a cap.
    pub fn close(&mut self, resolved: &Resolved, candidate: &mut Signals, stable: &mut Signals) {
        self.learn_of(resolved);
        for (name, cap) in &mut self.0 {
            match cap {
                Cap::Learning { .. } => cap.learn(stable.get(name)),
                Cap::Fixed(Some(cap)) => {
                    cut(candidate, name, *cap);
                    cut(stable, name, *cap);
                }
                Cap::Fixed(None) => {}
            }
        }
        self.fix(resolved);
        for signals in [candidate, stable] {
            signals.retain(|name, _| !name.is_spread());
        }
    }

    fn learn_of(&mut self, resolved: &Resolved) {
        for name in resolved.uncapped().filter(|name| !self.0.contains_key(name)).cloned().collect::<Vec<_>>() {
            self.0.insert(name, Cap::Learning { n: 0.0, s1: 0.0, s2: 0.0 });
        }
    }

    fn fix(&mut self, resolved: &Resolved) {
        for (name, cap) in &mut self.0 {
            if let Cap::Learning { n, s1, s2 } = *cap
                && n >= VALUES_MIN
            {
                *cap = Cap::Fixed(resolved.cap_of(name, s1 / n, s2 / n));
            }
        }
    }
}

impl Cap {
    fn learn(&mut self, stable: Option<&Signal>) {
        if let (Self::Learning { n, s1, s2 }, Some(Signal::Mean { n: more, s1: sum, s2: squares, .. })) = (self, stable)
        {
            (*n, *s1, *s2) = (*n + more, *s1 + sum, *s2 + squares);
        }
    }
}

fn cut(signals: &mut Signals, name: &SignalName, cap: f64) {
    let spread = name.observed().and_then(|observed| signals.remove(&SignalName::spread(observed)));
    signals.remove(name);
    if let Some(Signal::Spread { values }) = spread {
        signals.insert(name.clone(), values.cut(cap));
    }
}

impl Resolved {
    /// The observations whose values have no stated bound and need one: what counts them is to count them by size.
    pub fn uncapped(&self) -> impl Iterator<Item = &SignalName> {
        let channels = self.sequential.channels.iter();
        let has_none = |view: View| matches!(view, View::Sums { bounds: None, .. });
        channels.filter(move |channel| has_none(channel.view)).map(|channel| &channel.signal)
    }

    /// Where the values of an observation are cut if stable's mean is this, and that of their squares; none if they are not.
    #[must_use]
    pub fn cap_of(&self, signal: &SignalName, mean: f64, mean_square: f64) -> Option<f64> {
        if !self.uncapped().any(|known| known == signal) {
            return None;
        }
        let is_absolute = |check: &ResolvedCheck, rule: &ResolvedRule| {
            check.kind.signal() == signal && !rule.comparator.is_relative()
        };
        let limits = self.rules().filter(|(_, check, rule)| is_absolute(check, rule)).map(|(.., rule)| rule.limit);
        let targets = self.slos.iter().filter(|slo| slo.kind.signal() == signal).map(|slo| slo.target);
        // Whoever reads the same values with a bound is to find them whole.
        let bounds = self.sequential.channels.iter().filter(|channel| channel.signal == *signal).map(bound_of);
        // Where most values are 0, the mean says nothing about the others: a value counts as much as it weighs. Where all are, the
        // first other one is to count, and a thing that happens is a 1.
        let usual = if mean > 0.0 { mean_square / mean } else { CAP_OF_NOTHING };
        cap(mean, limits.chain(targets).fold(0.0, f64::max), bounds.fold(usual, f64::max))
    }
}

/// The largest value that a channel takes for possible; 0 if it needs no bound, or has none.
const fn bound_of(channel: &Channel) -> f64 {
    match channel.view {
        View::Events { .. } => 1.0,
        View::Sums { bounds: Some((_, hi)), .. } => hi,
        View::Sums { .. } | View::Occurrences | View::Histogram => 0.0,
    }
}

/// The cap for values with this mean and largest limit, of which some are to stay whole.
fn cap(mean: f64, limit: f64, whole: f64) -> Option<f64> {
    Spread::bound((MEANS * mean).max(LIMITS * limit).max(whole))
}

#[cfg(test)]
mod tests;
