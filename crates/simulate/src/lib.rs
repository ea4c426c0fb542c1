//! Rollouts that did not happen: how often a policy would take a healthy version back, how soon a bad one, and how long it would wait.
//!
//! [`Traffic`] says how many requests there are and what answers are like; an [`Effect`] makes the candidate's other. [`draw`] makes
//! the ticks of both arms from them, with a seed, and [`run()`] lets the judge itself decide on them, step by step, as a server would.
//! [`needs`] tells without any draw how many requests each rule takes to be decided.

pub mod draw;
pub mod needs;
pub mod run;
pub mod traffic;

pub use needs::{Need, needs};
pub use run::{End, Simulated, run};
pub use traffic::{Effect, Items, Traffic};

#[cfg(test)]
mod tests;
