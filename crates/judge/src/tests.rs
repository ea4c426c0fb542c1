//! Tests of the crate as a whole: the reference numbers, the laws, and a shipped preset at its limits.

mod build;
mod laws;
mod llm_upgrade;
mod rounds;
mod sequential;
mod vectors;

pub(crate) use build::{check, count, deep_check, histogram, mean, step, tick};
