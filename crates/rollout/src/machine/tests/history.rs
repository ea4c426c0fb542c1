//! Histories as chance makes them: what everybody may say, in any order, twice, late, or never.

use proptest::prelude::*;

use super::journey::{Journey, verdict};
use super::*;

/// One thing that happens. What it means is up to the rollout's state then, so that short histories come far.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// What the rollout waits for comes.
    Answer,
    /// Its deadline comes, so late.
    Deadline {
        late_ms: i64,
    },
    /// A deadline comes that nobody armed.
    Stray {
        version_ago: i64,
    },
    Verdict {
        ago: i64,
        action: Action,
    },
    Ready {
        ago: i64,
    },
    Failed {
        ago: i64,
        passing: bool,
    },
    Applied {
        ago: i64,
    },
    Unapplied {
        ago: i64,
    },
    Lease {
        ago: i64,
    },
    Drift {
        ago: i64,
        /// What was found, beside the generation that should be there.
        found: Option<i64>,
    },
    Said {
        verb: Verb,
        by_who_asked: bool,
    },
    Overtaken,
    /// An old message comes again.
    Again {
        place: u8,
    },
    /// Time passes, or the clock is put back.
    Clock {
        ms: i64,
    },
    /// The other rollout of the model ends.
    Alone,
}

pub(super) fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..most)
}

/// Made of plain numbers: alternatives as strategies of their own take ten times as long.
fn event() -> impl Strategy<Value = Event> {
    (0..43_u8, any::<u8>(), any::<u8>()).prop_map(|(kind, which, when)| {
        // Mostly the current one, else one of the three before or the one that is to come.
        let ago = if when % 2 == 0 { 0 } else { i64::from(when / 2 % 5) - 1 };
        match kind {
            0..13 => Event::Answer,
            13..19 => Event::Deadline { late_ms: [0, 0, 0, 100, 30 * SECOND, HOUR][usize::from(which % 6)] },
            19 => Event::Stray { version_ago: ago },
            20..23 => Event::Verdict { ago, action: ACTIONS[usize::from(which) % ACTIONS.len()] },
            23 => Event::Ready { ago },
            24 => Event::Failed { ago, passing: which % 4 > 0 },
            25 => Event::Applied { ago },
            26 => Event::Unapplied { ago },
            27 => Event::Lease { ago },
            28 => Event::Drift { ago, found: [None, Some(-1), Some(0), Some(7)][usize::from(which % 4)] },
            29..34 => {
                Event::Said { verb: Verb::ALL[usize::from(which) % Verb::ALL.len()], by_who_asked: when % 2 == 0 }
            }
            34 => Event::Overtaken,
            35..39 => Event::Again { place: which },
            39..42 => Event::Clock { ms: (i64::from(which) - 100) * SECOND },
            _ => Event::Alone,
        }
    })
}

pub(super) const ACTIONS: &[Action] =
    &[Action::Wait, Action::Hold, Action::Extend, Action::Advance, Action::Rollback, Action::Gate];

/// A rollout that was asked for: of any of some plans, with and without a version before, alone or not.
pub(super) fn asked() -> impl Strategy<Value = Journey> {
    let plans = plans();
    (0..plans.len(), 0..5_u8, 0..12_u8).prop_map(move |(plan, before_it, beside_it)| {
        let mut journey = Journey::asked(plans[plan].clone(), (before_it > 0).then(before));
        journey.live = (beside_it < 3).then(|| (rollout_id("v0"), Stage::Observing));
        let when_live = [WhenLive::Reject, WhenLive::Queue, WhenLive::Supersede][usize::from(beside_it % 3)];
        journey.tell(What::Requested { when_live, refusal: None }).unwrap();
        journey
    })
}

fn plans() -> Vec<Plan> {
    let gates = plan(GATES);
    let unjudged = plan("steps: [{split: 10, dwell: 1m}, {split: 10, dwell: 2m, gate: true}, {split: 100, dwell: 1m}]");
    let mut plans = vec![preset("llm-upgrade"), preset("agent-default"), Plan::activate(), unjudged];
    for word in ["gate", "hold"] {
        plans.push(plan(&format!("{GATES}on_inconclusive: {word}\n")));
    }
    plans.push(Plan { on_lease_expired: crate::OnLeaseExpired::Rollback, ..gates.clone() });
    plans.push(Plan { on_drift: crate::OnDrift::Hold, ..gates.clone() });
    plans.push(gates);
    plans.into_iter().map(lean).collect()
}

/// Without what the machine never reads, because rows are copied a million times here.
fn lean(mut plan: Plan) -> Plan {
    if let Some(checks) = &mut plan.checks {
        (checks.checks, checks.counters, checks.notes) = (vec![], vec![], vec![]);
    }
    Plan { notes: vec![], ..plan }
}

/// Lets it happen; the fact that was heard, if any.
pub(super) fn happen(journey: &mut Journey, event: &Event) -> Option<Fact> {
    let row = &journey.row;
    let (attempt, generation) = (row.attempt, row.generation);
    let mut actor = "a-service";
    let what = match event {
        Event::Answer => answer(row)?,
        Event::Deadline { late_ms } => {
            journey.now = journey.now.max(row.wake_at?.plus_ms(*late_ms));
            What::DeadlinePassed { version: row.version }
        }
        Event::Stray { version_ago } => What::DeadlinePassed { version: row.version - version_ago },
        Event::Verdict { ago, action } => verdict(attempt - ago, *action),
        Event::Ready { ago } => What::WorkloadReady { attempt: attempt - ago },
        Event::Failed { ago, passing } => {
            What::WorkloadFailed { attempt: attempt - ago, reason: "502".to_owned(), passing: *passing }
        }
        Event::Applied { ago } => What::SplitApplied { generation: generation - ago },
        Event::Unapplied { ago } => What::SplitFailed { generation: generation - ago, reason: "no router".to_owned() },
        Event::Lease { ago } => What::LeaseExpired { generation: generation - ago },
        Event::Drift { ago, found } => {
            What::RouteDrifted { generation: generation - ago, found: found.map(|found| generation + found) }
        }
        Event::Said { verb, by_who_asked } => {
            actor = if *by_who_asked { "rob" } else { "ann" };
            What::Commanded { verb: *verb }
        }
        Event::Overtaken => What::Overtaken { by: rollout_id("v3") },
        Event::Again { place } => journey.heard[usize::from(*place) % journey.heard.len()].0.what.clone(),
        Event::Clock { ms } => {
            journey.sleep(*ms);
            return None;
        }
        Event::Alone => {
            journey.live = None;
            return None;
        }
    };
    Some(journey.fact(what, actor, None))
}

fn answer(row: &Rollout) -> Option<What> {
    Some(match row.stage {
        Stage::Preparing => What::WorkloadReady { attempt: row.attempt },
        Stage::Shifting | Stage::Promoting | Stage::Retreating => What::SplitApplied { generation: row.generation },
        Stage::Observing if row.current_step()?.judged => verdict(row.attempt, Action::Advance),
        Stage::Gated => What::Commanded { verb: Verb::Approve },
        Stage::Paused => What::Commanded { verb: Verb::Resume },
        _ => return None,
    })
}
