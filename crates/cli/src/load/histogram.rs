//! Latencies in bins less than 0.8 % wide, so percentiles cost 11 KB a version however long the run is.

use std::time::Duration;

/// 128 bins for each power of two.
const FINE_BITS: u32 = 7;
/// Up to 2^27 microseconds, or 134 seconds; longer ones count as that.
const MICROS_BITS_MAX: u32 = 27;
const BINS: usize = ((MICROS_BITS_MAX - FINE_BITS + 1) << FINE_BITS) as usize;

/// Counts of latencies.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: Vec<u32>,
    total: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { bins: vec![0; BINS], total: 0 }
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).min((1 << MICROS_BITS_MAX) - 1);
        self.bins[bin(micros)] += 1;
        self.total += 1;
    }

    /// The latency in milliseconds that this share did not exceed (nearest rank, upper edge of its bin); 0 of nothing.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let mut left = (share * self.total as f64).max(1.0);
        for (place, count) in self.bins.iter().enumerate() {
            left -= f64::from(*count);
            if left <= 0.0 {
                return upper_edge_micros(place) / 1_000.0;
            }
        }
        0.0
    }
}

fn bin(micros: u32) -> usize {
    let bits = u32::BITS - micros.leading_zeros();
    let shift = bits.saturating_sub(FINE_BITS + 1);
    // Below 2^8 the bins are single microseconds; above, the leading eight bits and the exponent name the bin.
    ((shift << FINE_BITS) + (micros >> shift)) as usize
}

fn upper_edge_micros(place: usize) -> f64 {
    let fine = 1 << FINE_BITS;
    let (shift, mantissa) = match place / fine {
        0 => (0, place),
        power => (power - 1, place % fine + fine),
    };
    ((mantissa + 1) << shift) as f64
}
