//! Sums over values by how large they are: of such sums it can be told later what they would be, had each value been cut.

use std::collections::BTreeMap;

use libm::{frexp, ldexp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SUM_MAX, Signal, sum};

/// Values up to `2^LEAST` are counted together.
const LEAST: i8 = -30;

/// Values above `2^MOST` are counted together, and nothing can be cut above it.
const MOST: i8 = 54;

/// Where values that are not above 0 are counted.
const NOTHING: i8 = LEAST - 1;

/// Values by octave: cell `c` holds those above `2^(c-1)`, up to `2^c`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Spread(BTreeMap<i8, Octave>);

/// The values of one octave: their number, their sum, and the sum of their squares.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
struct Octave(f64, f64, f64);

impl Spread {
    /// The lowest bound at or above this number at which values can be cut; none if it is above all of them, or no number.
    #[must_use]
    pub fn bound(above: f64) -> Option<f64> {
        let cell = cell_of(above);
        (above > 0.0 && cell <= MOST).then(|| ldexp(1.0, i32::from(cell)))
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        self.add_octave(cell_of(value), Octave(1.0, value, value * value));
    }

    /// Adds all values of another one.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(cell, more)| self.add_octave(*cell, *more));
    }

    /// What was counted since `before`; none if something fell, which means that counting began anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut since = Self::default();
        if before.0.keys().any(|cell| !self.0.contains_key(cell)) {
            return None;
        }
        for (cell, Octave(n, s1, s2)) in &self.0 {
            let Octave(n_before, s1_before, s2_before) = before.0.get(cell).copied().unwrap_or_default();
            if *n < n_before || *s2 < s2_before {
                return None;
            }
            if *n > n_before {
                since.0.insert(*cell, Octave(n - n_before, s1 - s1_before, s2 - s2_before));
            }
        }
        Some(since)
    }

    /// Number of values.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.0.values().map(|Octave(n, ..)| n).sum()
    }

    /// The sums, had each value been cut at 0 from below and from above at a bound that [`Self::bound`] gave.
    #[must_use]
    pub fn cut(&self, cap: f64) -> Signal {
        let last = cell_of(cap);
        let (mut n, mut s1, mut s2) = (0.0, 0.0, 0.0);
        for (cell, octave) in &self.0 {
            let within = match *cell {
                NOTHING => Octave(octave.0, 0.0, 0.0),
                cell if cell <= last => *octave,
                _ => Octave(octave.0, octave.0 * cap, octave.0 * cap * cap),
            };
            (n, s1, s2) = (n + within.0, s1 + within.1, s2 + within.2);
        }
        Signal::Mean { n, s1, s2, cap: Some(cap) }
    }

    /// Whether every number is one that sources may send.
    #[must_use]
    pub(super) fn is_sound(&self) -> bool {
        let is_sum = |x: f64| x.is_finite() && (0.0..=SUM_MAX).contains(&x);
        let known = NOTHING..=MOST + 1;
        self.0.iter().all(|(cell, Octave(n, s1, s2))| {
            known.contains(cell) && is_sum(*n) && is_sum(*s2) && s1.is_finite() && s1.abs() <= SUM_MAX
        })
    }

    fn add_octave(&mut self, cell: i8, more: Octave) {
        let octave = self.0.entry(cell).or_default();
        *octave = Octave(sum(octave.0, more.0), sum(octave.1, more.1), sum(octave.2, more.2));
    }
}

/// The octave of a value.
fn cell_of(value: f64) -> i8 {
    if value.is_nan() || value <= 0.0 {
        return NOTHING;
    }
    // The value is `part * 2^power`, with a part of at least a half and below 1.
    let (part, power) = frexp(value.min(f64::MAX));
    let power = if part == 0.5 { power - 1 } else { power };
    let within = power.clamp(i32::from(LEAST), i32::from(MOST) + 1);
    i8::try_from(within).unwrap_or(MOST)
}
