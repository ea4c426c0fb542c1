//! The sequential method: evidence that may be looked at after every tick (JUDGE sections 5 to 7).
//!
//! Each gate bets against the claim that the candidate is healthy. A bet multiplies its capital by an e-value ([`log_e`]), whose mean
//! is at most 1 while the claim is true, so capital ([`capital`]) that grows a hundredfold is wrong in at most one rollout of a
//! hundred, whenever one looks (Ville 1939). What sets a bet comes from earlier ticks alone ([`learned`], [`dispersion`]): that is
//! what the order in [`fold`] keeps. [`standing`] tells what the gates have come to.

pub(crate) mod bets;
pub(crate) mod capital;
pub(crate) mod dispersion;
pub(crate) mod fold;
pub(crate) mod gate;
pub(crate) mod grid;
pub mod interval;
pub(crate) mod learned;
pub(crate) mod log_e;
pub(crate) mod numbers;
pub(crate) mod outlook;
pub mod plan;
pub mod power;
pub(crate) mod quantile_edge;
pub mod split_drift;
pub(crate) mod standing;

pub use log_e::Bad;
