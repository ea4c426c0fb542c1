//! Rollouts that did not happen: how often a policy would take a healthy version back, how soon a bad one, and how long it would wait.
//!
//! [`Traffic`] says how many requests there are, what answers are like and what befalls both arms; an [`Effect`] makes the candidate's
//! other. [`World`] draws the ticks of both arms from them, with a seed, and [`run()`] lets the judge itself decide on them, step by
//! step, as a server would.
//! [`needs`] tells without any draw how many requests each rule takes to be decided.

mod cells;
mod chance;
pub mod draw;
pub mod figures;
pub mod needs;
pub mod run;
pub mod traffic;
pub mod world;

pub use figures::{at_most, quantile};
pub use needs::{Need, needs};
pub use run::{End, Simulated, run};
pub use traffic::{Effect, Items, Pods, Traffic, Weather};
pub use world::World;

#[cfg(test)]
mod tests;
