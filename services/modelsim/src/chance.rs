//! Repeatable randomness: the n-th prediction of a simulator with a given seed always draws the same numbers,
//! however many predictions run at the same time. SplitMix64, because it needs no state beyond one counter.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The stream of random numbers that belongs to one prediction.
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of the prediction with this ordinal.
    pub(crate) fn new(seed: u64, ordinal: u64) -> Self {
        Self(mix(seed) ^ mix(ordinal.wrapping_mul(GOLDEN_GAMMA)))
    }

    /// Evenly spread over 0 (included) to 1 (excluded).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        // The upper 53 bits are as many as an f64 holds exactly.
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in this share of cases.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// Evenly spread over `mean - spread` to `mean + spread`.
    pub(crate) fn around(&mut self, mean: f64, spread: f64) -> f64 {
        mean + spread * (2.0 * self.uniform() - 1.0)
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
