//! The log of one rollout: it has no gap, folds to the row, and goes nowhere early, unproved, or forward after a retreat.

use rollout::{Fact, Request, Rollout, Stage, What, decide};
use serde_json::Value;
use store::Transition;

/// How far the clocks of two processes may be apart: each takes the database's time when it connects, late by the answer's way. The
/// judge says by one of them that a step has dwelt, and the scheduler writes it down by another.
const CLOCKS_APART_MS: i64 = 20;

/// I2, I3, I6, I7, I9 of one rollout: the log has no gap and no fact twice, folds to the row, goes nowhere early or forward after
/// a retreat.
pub(super) fn of_rollout(row: &Rollout, log: &[Transition]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut folded = requested(row);
    let mut facts = std::collections::BTreeSet::new();
    for (index, entry) in log.iter().enumerate() {
        let place = format!("{} version {}", row.id, entry.version);
        if usize::try_from(entry.version).unwrap() != index + 1 {
            wrong.push(format!("{place} stands at place {}", index + 1));
        }
        if !facts.insert((entry.fact_source.clone(), entry.fact_id.clone())) {
            wrong.push(format!("{place}: the fact {} moved it twice", entry.fact_id));
        }
        let fact: Fact = serde_json::from_value(entry.fact.clone()).unwrap();
        // A queued rollout's deadline is moved forward by the commit that ends the one before it, outside of this log.
        let is_kept = entry.fact_kind == "deadline_passed" && folded.stage != Stage::Queued;
        if is_kept && folded.wake_at.is_some_and(|wake_at| entry.decided_at < wake_at) {
            wrong.push(format!("{place}: early by {:?}", folded.wake_at));
        }
        match decide(&folded, &fact, entry.decided_at) {
            Ok(decision) => {
                if folded.retreated_at.is_some() && decision.next.desired() > folded.desired() {
                    wrong.push(format!("{place}: forward after a retreat"));
                }
                wrong.extend(advanced_early(&place, &folded, &decision.next, &fact));
                wrong.extend(advanced_unproved(&place, &folded, &decision.next, &fact, entry));
                folded = decision.next;
            }
            Err(refusal) => wrong.push(format!("{place}: folding refuses {}: {refusal}", entry.fact_kind)),
        }
    }
    let (folded, row) = (serde_json::to_value(&folded).unwrap(), serde_json::to_value(row).unwrap());
    for (field, value) in row.as_object().unwrap() {
        if folded[field] != *value {
            wrong.push(format!("{}: {field} folds to {}, the row has {value}", row["id"], folded[field]));
        }
    }
    wrong
}

/// Whether the next step begins; the same one may begin anew.
fn moves_on(before: &Rollout, after: &Rollout) -> bool {
    let is_next = after.stage == Stage::Shifting && after.step > before.step || after.stage == Stage::Promoting;
    before.stage == Stage::Observing && is_next
}

/// A step ends when its dwell has passed since its split was read back, or when a person says so.
fn advanced_early(place: &str, before: &Rollout, after: &Rollout, fact: &Fact) -> Option<String> {
    if !moves_on(before, after) || matches!(fact.what, What::Commanded { .. }) {
        return None;
    }
    let dwell = before.current_step()?.dwell.ms();
    let dwelt = after.updated_at.ms_since(before.applied_at?);
    (dwelt + CLOCKS_APART_MS < dwell).then(|| format!("{place}: left step {} after {dwelt} ms of {dwell}", before.step))
}

/// The row as it was asked for, before its first fact.
fn requested(row: &Rollout) -> Rollout {
    let row = row.clone();
    let request = Request {
        id: row.id,
        tenant: row.tenant,
        model: row.model,
        candidate: row.candidate,
        workload: row.workload,
        requested_by: row.requested_by,
        plan: row.plan,
    };
    Rollout::requested(request, row.created_at)
}

/// A judged step ends with a verdict to advance on it: of this attempt, from a window behind its split, with the samples that
/// each check asks for; or with a named person's act.
fn advanced_unproved(
    place: &str,
    before: &Rollout,
    after: &Rollout,
    fact: &Fact,
    entry: &Transition,
) -> Option<String> {
    if !moves_on(before, after) || !before.current_step()?.judged {
        return None;
    }
    if matches!(fact.what, What::Commanded { .. }) {
        return fact.actor.is_empty().then(|| format!("{place}: moved on by nobody"));
    }
    let Some(verdict) = &entry.evidence else { return Some(format!("{place}: moved on without evidence")) };
    let number = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_f64);
    let held = number(verdict, "/window/elapsed").unwrap_or(-1.0);
    let said = (verdict["result"].as_str(), verdict["attempt"].as_i64(), verdict["generation"].as_i64());
    if said != (Some("pass"), Some(before.attempt), Some(before.generation)) || held <= 0.0 {
        return Some(format!("{place}: moved on by {verdict}"));
    }
    let checks = verdict["checks"].as_array().into_iter().flatten();
    let is_poor = |check: &Value| {
        let asked = before.plan.checks.as_ref().and_then(|checks| {
            let checks = serde_json::to_value(checks).ok()?;
            number(&checks, &format!("/checks/{}/min_samples", check["check"]))
        });
        check["result"] == "pass" && number(check, "/n_candidate").unwrap_or(0.0) < asked.unwrap_or(1.0)
    };
    checks.clone().any(is_poor).then(|| format!("{place}: moved on with too few samples: {verdict}"))
}

/// The moves of a log, without what was only noted on the way.
pub(super) fn story(log: &[Transition]) -> Vec<String> {
    let mut step = 0;
    let mut moves = Vec::new();
    for entry in log {
        if entry.from_stage != entry.to_stage || entry.step != step {
            moves
                .push(format!("{} -> {} step {} by {}", entry.from_stage, entry.to_stage, entry.step, entry.fact_kind));
        }
        step = entry.step;
    }
    moves
}
