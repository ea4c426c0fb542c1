//! Shares of traffic in basis points: what people may write, and how a split is checked.

use std::fmt;

use judge::written_as;
use serde::{Deserialize, Deserializer, Serialize};

/// All of the traffic, in basis points.
pub const WHOLE: u32 = 10_000;

/// A share of traffic in basis points, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Share(u32);

impl Share {
    /// All of the traffic.
    pub const WHOLE: Self = Self(WHOLE);
    /// None of the traffic.
    pub const ZERO: Self = Self(0);

    /// A share of so many basis points; more than the whole is `None`.
    #[must_use]
    pub const fn of_basis_points(points: u32) -> Option<Self> {
        if points <= WHOLE { Some(Self(points)) } else { None }
    }

    /// Reads percent, such as `5` or `12.5`.
    ///
    /// # Errors
    /// A sentence when it is no number from 0 to 100 in whole basis points.
    pub fn of_percent(percent: f64) -> Result<Self, String> {
        of_scaled(percent, 100.0)
            .ok_or_else(|| format!("{percent} is not a share: write percent from 0 to 100, at most two decimals"))
    }

    /// Reads a fraction, such as `0.05`.
    ///
    /// # Errors
    /// A sentence when it is no number from 0 to 1 in whole basis points.
    pub fn of_weight(weight: f64) -> Result<Self, String> {
        of_scaled(weight, 10_000.0)
            .ok_or_else(|| format!("{weight} is not a weight: write a fraction from 0 to 1, at most four decimals"))
    }

    /// The share in basis points.
    #[must_use]
    pub const fn basis_points(self) -> u32 {
        self.0
    }

    /// The share in percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// What is left of the whole.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }
}

/// Rounds to whole basis points; what is further than a millionth from one was meant otherwise.
fn of_scaled(value: f64, scale: f64) -> Option<Share> {
    let points = value * scale;
    let whole = points.round();
    if !(0.0..=f64::from(WHOLE)).contains(&whole) || (points - whole).abs() > 1e-6 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie in 0..=10,000 just above"
    )]
    Some(Share(whole as u32))
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

written_as!(Share, "Share", {
    "description": "A share of the traffic in basis points.", "type": "integer", "minimum": 0, "maximum": 10000
});

written_as!(Split, "Split", {
    "description": "Shares in basis points, the stable arm last; they sum to 10,000.",
    "type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 10000}
});

impl<'de> Deserialize<'de> for Share {
    /// Basis points, as we store them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let points = u32::deserialize(deserializer)?;
        Self::of_basis_points(points)
            .ok_or_else(|| serde::de::Error::custom(format!("{points} basis points are more than the whole")))
    }
}

/// Shares of N arms, the candidates in the order of the plan and the shrinking baseline last; they sum to the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Share>", into = "Vec<Share>")]
pub struct Split(Vec<Share>);

impl Split {
    /// Checks that the shares sum to 100 %.
    ///
    /// # Errors
    /// A sentence with the sum that was found.
    pub fn new(shares: Vec<Share>) -> Result<Self, String> {
        let sum: u32 = shares.iter().map(|share| share.0).sum();
        if sum == WHOLE {
            Ok(Self(shares))
        } else {
            Err(format!("the shares sum to {} %, not to 100 %", f64::from(sum) / 100.0))
        }
    }

    /// One candidate with `share`, the baseline with the rest.
    #[must_use]
    pub fn candidate(share: Share) -> Self {
        Self(vec![share, share.rest()])
    }

    /// The shares, baseline last.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.0
    }

    /// What all candidates have together.
    #[must_use]
    pub fn candidates(&self) -> Share {
        self.stable().rest()
    }

    /// What the baseline keeps.
    #[must_use]
    pub fn stable(&self) -> Share {
        self.0.last().copied().unwrap_or(Share::WHOLE)
    }
}

impl TryFrom<Vec<Share>> for Split {
    type Error = String;
    fn try_from(shares: Vec<Share>) -> Result<Self, String> {
        Self::new(shares)
    }
}

impl From<Split> for Vec<Share> {
    fn from(split: Split) -> Vec<Share> {
        split.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_percent_or_as_a_weight() {
        assert_eq!(Share::of_percent(5.0).unwrap().basis_points(), 500);
        assert_eq!(Share::of_percent(0.01).unwrap().basis_points(), 1);
        assert_eq!(Share::of_weight(0.05).unwrap().basis_points(), 500);
        for bad in [-1.0, 100.01, 5.001, f64::NAN, f64::INFINITY, 1e308] {
            assert!(Share::of_percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_split_sums_to_the_whole() {
        let share = |percent| Share::of_percent(percent).unwrap();
        assert!(Split::new(vec![share(5.0), share(95.0)]).is_ok());
        assert_eq!(Split::new(vec![share(5.0), share(94.99)]).unwrap_err(), "the shares sum to 99.99 %, not to 100 %");
    }
}
