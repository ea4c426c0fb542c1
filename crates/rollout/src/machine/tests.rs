//! The machine from outside: facts go in, rows and intents come out. Nothing here waits; the clock is a number.

use judge::Decision as Action;

use crate::fact::{Before, Fact, Seen, Verb, What};
use crate::instant::At;
use crate::intent::Intent;
use crate::name::{Model, RolloutId, Tenant, Version};
use crate::plan::{Health, Plan, WhenLive, Workload};
use crate::policy::Policy;
use crate::route::{Arm, Direction, Match};
use crate::row::{Request, Rollout};
use crate::split::Share;
use crate::stage::Stage;
use crate::{Refusal, decide};

mod backward;
mod clock;
mod drift;
mod forward;
mod history;
mod journey;
mod laws;
mod table;
mod waiting;

/// When every journey begins.
const START: At = At(1_000_000_000_000);
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Two gates, judged and unjudged steps, a bake.
const GATES: &str = "
name: gates
steps:
  - {split: 5, dwell: 10m, gate: true}
  - {split: 50, dwell: 30m, gate: {expires: 8h, approver_not_requester: true}}
  - {split: 100}
checks: [{metric: error_rate, rules: {gte: '0.10'}, action: rollback}]
bake: 1h
";

fn plan(text: &str) -> Plan {
    Policy::from_yaml(text).unwrap_or_else(|error| panic!("{error}")).plan().unwrap()
}

fn preset(name: &str) -> Plan {
    plan(Policy::preset(name).expect("there is such a preset"))
}

fn workload(upstream: &str) -> Workload {
    let (tenant, model) = (Tenant::default_tenant(), Model::new("reranker").unwrap());
    let matches = Match::default_for(&tenant, &model);
    Workload { upstream: upstream.to_owned(), headers: [].into(), health: Health::default(), matches }
}

fn arm(version: &str, points: u32) -> Arm {
    Arm {
        version: Version::new(version).unwrap(),
        basis_points: Share::of_basis_points(points).unwrap(),
        upstream: format!("http://{version}"),
        headers: [].into(),
    }
}

/// What served before: v1, all of it.
fn before() -> Before {
    Before { stable: Version::new("v1").unwrap(), arms: vec![arm("v1", 10_000)] }
}

fn rollout_id(word: &str) -> RolloutId {
    RolloutId::of("/test", word)
}

/// The row of v2 before its first fact.
fn requested(plan: Plan) -> Rollout {
    let request = Request {
        id: rollout_id("v2"),
        tenant: Tenant::default_tenant(),
        model: Model::new("reranker").unwrap(),
        candidate: Version::new("v2").unwrap(),
        workload: workload("http://v2"),
        requested_by: "rob".to_owned(),
        plan,
    };
    Rollout::requested(request, START)
}
