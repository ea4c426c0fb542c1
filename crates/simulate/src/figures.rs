//! What many rollouts come to in a number or two.

/// The 95 % point of the normal distribution, for one-sided bounds.
const Z_95: f64 = 1.645;

/// The value below which this part of ascending values lies; none of none.
#[must_use]
pub fn quantile(ascending: &[f64], part: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (part * ascending.len() as f64).ceil() as usize;
    ascending.get(at.saturating_sub(1)).copied()
}

/// The upper end of a one-sided 95 % interval of a share, so many of the whole (Wilson 1927).
#[must_use]
pub fn at_most(count: u64, whole: u64) -> f64 {
    let (n, z2) = (whole.max(1) as f64, Z_95 * Z_95);
    let p = count as f64 / n;
    let spread = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((p + z2 / (2.0 * n) + spread) / (1.0 + z2 / n)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::{at_most, quantile};

    #[test]
    fn no_false_alarm_in_four_hundred_is_at_most_one_in_a_hundred_and_fifty() {
        assert!((at_most(0, 400) - 0.006_72).abs() < 1e-4);
        assert!(at_most(400, 400) <= 1.0 && at_most(0, 0) <= 1.0);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
        assert_eq!((quantile(&[7.0], 0.95), quantile(&[], 0.5)), (Some(7.0), None));
    }
}
