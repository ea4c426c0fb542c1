//! Reads the database of a stopped tidegate and says what the invariants of RELIABILITY section 6.1 have against it. It trusts
//! no counter of a service.

use std::path::Path;

use rollout::{At, Fact, Request, Rollout, Stage, Tenant, decide};
use store::{Store, Transition};

/// Everything that is wrong; empty when nothing is.
pub(crate) async fn violations(folder: &Path) -> Vec<String> {
    let store = Store::open(folder).await.unwrap();
    let mut reader = store.reader().await.unwrap();
    let mut wrong = Vec::new();
    let rollouts = reader.rows().rollouts(&Tenant::default(), (At(i64::MAX), ""), 10_000).await.unwrap();
    for row in &rollouts {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        wrong.extend(of_rollout(row, &log));
        if !row.stage.is_final() {
            wrong.push(format!("{} is still {}", row.id, row.stage));
        }
    }
    for parked in reader.rows().parked(100).await.unwrap() {
        wrong.push(format!("parked {} by {}: {}", parked.message_id, parked.service, parked.error));
    }
    for route in reader.rows().routes().await.unwrap() {
        if let Err(what) = route.check() {
            wrong.push(format!("route of {}: {what}", route.model));
        }
        if route.arms.len() != 1 {
            wrong.push(format!("route of {} still has {} arms", route.model, route.arms.len()));
        }
    }
    drop(reader);
    store.close().await;
    wrong
}

/// I2, I3, I6, I7, I9 of one rollout: the log has no gap and no fact twice, folds to the row, goes nowhere early or forward after
/// a retreat.
fn of_rollout(row: &Rollout, log: &[Transition]) -> Vec<String> {
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

/// A step ends when its dwell has passed since its split was read back, or when a person says so.
fn advanced_early(place: &str, before: &Rollout, after: &Rollout, fact: &Fact) -> Option<String> {
    let moves_on = before.stage == Stage::Observing && matches!(after.stage, Stage::Shifting | Stage::Promoting);
    if !moves_on || matches!(fact.what, rollout::What::Commanded { .. }) {
        return None;
    }
    let dwell = before.current_step()?.dwell.ms();
    let dwelt = after.updated_at.ms_since(before.applied_at?);
    (dwelt < dwell).then(|| format!("{place}: left step {} after {dwelt} ms of {dwell}", before.step))
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
