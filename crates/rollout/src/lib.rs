//! The pure domain of a rollout: policy, plan, split, bucket, route, fact, stage, machine, `decide`.
//!
//! Nothing here knows async, I/O, a clock or randomness: a result depends on its arguments alone. The log of a rollout is the
//! truth, and folding it through [`decide()`] gives the row.

pub mod bucket;
mod bump;
mod decide;
mod fact;
mod instant;
mod intent;
mod machine;
mod name;
mod plan;
mod policy;
mod route;
mod row;
mod split;
mod stage;

pub use bump::Bump;
pub use decide::{Decision, Refusal, decide, fold};
pub use fact::{Before, Fact, Seen, Verb, What};
pub use instant::At;
pub use intent::Intent;
pub use name::{BadName, Model, PolicyName, RolloutId, RouterName, Tenant, Version, forwarded_id};
pub use plan::{
    Gate, Health, ModelSpec, Off, OnDrift, OnLeaseExpired, PageResolve, Plan, Smoke, Step, Strategy, WhenLive, Workload,
};
pub use policy::{Origin, Policy, PolicyError, PolicyStep, Problem, Row};
pub use route::{Arm, Direction, GENERATION_MAX, INCARNATION, Match, NoKey, Route};
pub use row::{MACHINE, Request, Rollout};
pub use split::{Share, Split, WHOLE};
pub use stage::Stage;
