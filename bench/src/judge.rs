//! The judge: how fast it is, and how often it is right, beside other ways to judge the same traffic.

use std::path::Path;

use crate::figure::Figure;

mod acceptance;
mod kayenta;
mod mann_whitney;
mod method;
mod outcome;
mod plot;
mod scenario;
mod speed;
mod study;
mod tables;

/// The speed, and a study of so many rollouts of each scenario, drawn into a file if one is named.
pub(crate) fn measure(runs: u64, plot: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    Ok([speed::measure()?, study::measure(runs, plot)?].concat())
}
