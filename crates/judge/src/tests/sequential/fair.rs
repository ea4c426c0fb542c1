//! A6: no e-value has a mean above 1 under its null, whatever the arms, the bounds and the guesses: computed, not drawn.
//!
//! A log e-value is a sum over events or items that are independent, so its mean is a finite sum (shares, rates) or a product of means
//! over single items (means), and needs no luck.

use proptest::prelude::*;

use crate::sequential::grid::{DOWN, Grid, UP, Z};
use crate::sequential::log_e::{Bad, Events, Scale, Sums, mean, mean_ratio, rate, ratio, share};

const ROUNDING: f64 = 1e-9;

/// `P(k of n)` at a share.
fn binomial(n: u32, p: f64) -> Vec<f64> {
    let mut row = vec![1.0];
    for _ in 0..n {
        let mut next = vec![0.0; row.len() + 1];
        for (k, mass) in row.iter().enumerate() {
            next[k] += mass * (1.0 - p);
            next[k + 1] += mass * p;
        }
        row = next;
    }
    row
}

fn grids() -> impl Strategy<Value = &'static Grid> {
    prop_oneof![Just(&UP), Just(&DOWN)]
}

/// Three values within bounds, with their shares.
type Item = [(f64, f64); 3];

prop_compose! {
    fn item()(lo in -2.0..0.5_f64, reach in 0.1..5.0_f64, middle in 0.0..1.0_f64, a in 0.0..1.0_f64, b in 0.0..1.0_f64, c in 0.01..1.0_f64)
        -> (Item, f64, f64) {
        let whole = a + b + c;
        ([(lo, a / whole), (lo + reach * middle, b / whole), (lo + reach, c / whole)], lo, lo + reach)
    }
}

fn mu(item: &Item) -> f64 {
    item.iter().map(|(x, p)| x * p).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_ratio_of_shares(n_c in 1_u32..12, n_s in 1_u32..60, p_s in 0.001..0.5_f64, rho in 0.5..2.0_f64, grid in grids(), slack in 0.0..1.0_f64) {
        let worse = std::ptr::eq(grid, &UP);
        // At the null, or within it.
        let p_c = if worse { rho * p_s * slack } else { rho * p_s * (1.0 + slack) };
        prop_assume!(p_c <= 1.0);
        let (mass_c, mass_s) = (binomial(n_c, p_c), binomial(n_s, p_s));
        for at in 0..grid.at.len() {
            let mut sum = 0.0;
            for (k_c, p) in mass_c.iter().enumerate() {
                for (k_s, q) in mass_s.iter().enumerate() {
                    let c = Events { k: k_c as f64, n: n_c.into() };
                    let s = Events { k: k_s as f64, n: n_s.into() };
                    sum += p * q * ratio(grid, c, s, rho)[at].exp();
                }
            }
            prop_assert!(sum <= 1.0 + ROUNDING, "E = {sum} at {}", grid.at[at]);
        }
    }

    #[test]
    fn a_share(n in 0_u32..80, p0 in 0.001..0.9_f64, grid in grids(), slack in 0.0..1.0_f64) {
        let worse = std::ptr::eq(grid, &UP);
        let p = if worse { p0 * slack } else { p0 + (1.0 - p0) * slack };
        for at in 0..grid.at.len() {
            let value = |k: usize| share(grid, Events { k: k as f64, n: n.into() }, p0)[at].exp();
            let sum: f64 = binomial(n, p).iter().enumerate().map(|(k, mass)| mass * value(k)).sum();
            prop_assert!(sum <= 1.0 + ROUNDING, "E = {sum}");
        }
    }

    #[test]
    fn a_rate(exposure in 0.1..50.0_f64, lambda0 in 0.01..2.0_f64, grid in grids(), slack in 0.0..1.0_f64) {
        let worse = std::ptr::eq(grid, &UP);
        let lambda = if worse { lambda0 * slack } else { lambda0 * (1.0 + slack) };
        // E r^K of a Poisson K is exp(mean (r - 1)).
        let zero = rate(grid, Events { k: 0.0, n: exposure }, lambda0);
        for (r, zero) in grid.at.iter().zip(zero) {
            prop_assert!((zero + lambda * exposure * (r - 1.0)).exp() <= 1.0 + ROUNDING);
        }
    }

    #[test]
    fn a_mean((item, lo, hi) in item(), n in 1_u32..200, sd in 0.001..10.0_f64, guess in -5.0..5.0_f64, slack in 0.0..1.0_f64) {
        for bad in [Bad::Increase, Bad::Decrease] {
            // The limit is at the true mean, or beyond it on the harmless side, and within the bounds.
            let mu0 = if bad == Bad::Increase { mu(&item) + (hi - mu(&item)) * slack } else { mu(&item) - (mu(&item) - lo) * slack };
            let known = Scale { m: guess, sd, lo, hi };
            for at in 0..Z.at.len() {
                let one = |x: f64| mean(Sums { n: 1.0, s1: x, s2: x * x }, mu0, bad, known)[at].exp();
                let each: f64 = item.iter().map(|(x, p)| p * one(*x)).sum();
                prop_assert!(each.powi(n.try_into().unwrap()) <= 1.0 + ROUNDING, "E = {each}");
            }
        }
    }

    #[test]
    fn a_ratio_of_means(n_c in 1_u32..50, n_s in 1_u32..500, base in 0.05..0.9_f64, rho in 0.7..1.4_f64, guess in 0.01..0.99_f64, sd in 0.001..2.0_f64, slack in 0.0..1.0_f64) {
        // Zeros and ones, so that both arms have every variance that they can.
        for bad in [Bad::Increase, Bad::Decrease] {
            let edge = rho * base;
            let mu_c = if bad == Bad::Increase { edge * slack } else { edge + (1.0 - edge).max(0.0) * slack };
            prop_assume!(mu_c <= 1.0);
            let known = Scale { m: guess, sd, lo: 0.0, hi: 1.0 };
            let value = |k_c: f64, k_s: f64, at: usize| {
                let c = Sums { n: n_c.into(), s1: k_c, s2: k_c };
                let s = Sums { n: n_s.into(), s1: k_s, s2: k_s };
                mean_ratio(c, s, rho, bad, known)[at]
            };
            for at in 0..Z.at.len() {
                // Linear in the counts: so much for each one of an arm, on top of none.
                let none = value(0.0, 0.0, at);
                let (one_c, one_s) = (value(1.0, 0.0, at) - none, value(0.0, 1.0, at) - none);
                let ln = none
                    + f64::from(n_c) * (mu_c * one_c.exp() + 1.0 - mu_c).ln()
                    + f64::from(n_s) * (base * one_s.exp() + 1.0 - base).ln();
                prop_assert!(ln <= ROUNDING, "ln E = {ln}");
            }
        }
    }
}
