//! Slack, PagerDuty and any HTTP receiver, as far as they can be told apart from outside: real HTTP, the same paths, the same
//! field lists and limits, the same answers, and dials to fail with.
//!
//! The demo and the tests start one in their own process. It knows nothing of Tidegate: it is the outside world.

mod fields;
mod pagerduty;
mod receivers;
mod slack;

pub use receivers::{Heard, Mood, Place, Receivers};
