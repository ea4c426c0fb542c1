//! What PagerDuty gets, without the routing key: Events API version 2.

use proto::{RolloutMoved, RolloutWaiting, instant};
use rollout::{RolloutId, Tenant};
use serde_json::{Value, json};

use super::text::cut;
use super::{Known, Severity, Turn};

/// Longest summary.
const SUMMARY_CHARS: usize = 1_024;
/// So many issues are told, each so long: who is woken wants the first ones.
const ISSUES: usize = 20;
const ISSUE_CHARS: usize = 500;

/// The same for everything about a rollout; far below the 255 characters that it may have.
pub(crate) fn dedup_key(tenant: &Tenant, rollout: &str) -> String {
    format!("rollout/{tenant}/{rollout}")
}

/// A rollout turns back by itself.
pub(super) fn turned_back(moved: &RolloutMoved, turn: &Turn, severity: Severity) -> Value {
    let mut details = details(moved);
    details["reason"] = json!(turn.reason);
    details["issues"] = turn.issues.iter().take(ISSUES).map(|issue| cut(issue, ISSUE_CHARS)).collect();
    let summary = format!(
        "{} {}: taking the traffic back to {}: {}",
        moved.model,
        moved.candidate,
        moved.previous.as_ref().map_or("the version before", |version| version.as_str()),
        turn.reason
    );
    let payload = json!({
        "summary": cut(&summary, SUMMARY_CHARS),
        "source": format!("{}/{}", moved.tenant, moved.model),
        "severity": severity.name(),
        "timestamp": instant::text(turn.at),
        "component": moved.model,
        "group": moved.tenant,
        "class": "rollout_turned_back",
        "custom_details": details,
    });
    event("trigger", &dedup_key(&moved.tenant, moved.rollout_id.as_str()), &payload)
}

/// A retreat waits for its target.
pub(super) fn not_applied(waiting: &RolloutWaiting, known: &Known) -> Value {
    let candidate = known.rollout.as_ref().map_or("the candidate", |rollout| rollout.candidate.as_str());
    let reason = waiting.reason.as_deref().unwrap_or("-");
    let summary =
        format!("{} {candidate}: the retreat is not applied, users may still reach it: {reason}", waiting.model);
    let payload = json!({
        "summary": cut(&summary, SUMMARY_CHARS),
        "source": format!("{}/{}", waiting.tenant, waiting.model),
        "severity": Severity::Critical.name(),
        "timestamp": instant::text(known.rollout.as_ref().map_or(waiting.since, |rollout| rollout.updated_at)),
        "component": waiting.model,
        "group": waiting.tenant,
        "class": "retreat_not_applied",
        "custom_details": {
            "tenant": waiting.tenant,
            "model": waiting.model,
            "rollout_id": waiting.rollout_id,
            "candidate": candidate,
            "reason": reason,
            "turned_back_at": instant::text(waiting.since),
            "show": format!("tidegate show {}", waiting.rollout_id),
            "rollback": rollback(&waiting.rollout_id),
        },
    });
    event("trigger", &dedup_key(&waiting.tenant, waiting.rollout_id.as_str()), &payload)
}

/// The rollout is over.
pub(super) fn over(moved: &RolloutMoved) -> Value {
    let payload = json!({
        "summary": cut(&format!("{} {}: the rollout is over: {}", moved.model, moved.candidate, moved.to), SUMMARY_CHARS),
        "source": format!("{}/{}", moved.tenant, moved.model),
        "severity": "info",
        "timestamp": instant::text(moved.at),
        "component": moved.model,
        "group": moved.tenant,
        "class": "rollout_over",
        "custom_details": details(moved),
    });
    event("resolve", &dedup_key(&moved.tenant, moved.rollout_id.as_str()), &payload)
}

/// A rollout succeeded: for the list of changes, which wakes nobody.
pub(super) fn change(moved: &RolloutMoved) -> Value {
    let before = moved.previous.as_ref().map_or_else(String::new, |version| format!(" in place of {version}"));
    json!({
        "payload": {
            "summary": cut(&format!("{} {} is the active version{before}", moved.model, moved.candidate), SUMMARY_CHARS),
            "source": format!("{}/{}", moved.tenant, moved.model),
            "timestamp": instant::text(moved.at),
            "custom_details": details(moved),
        },
    })
}

fn event(action: &str, dedup_key: &str, payload: &Value) -> Value {
    json!({ "event_action": action, "dedup_key": dedup_key, "client": "tidegate", "payload": payload })
}

fn details(moved: &RolloutMoved) -> Value {
    json!({
        "tenant": moved.tenant,
        "model": moved.model,
        "rollout_id": moved.rollout_id,
        "candidate": moved.candidate,
        "previous": moved.previous,
        "stage": moved.to,
        "step": moved.step + 1,
        "reason": moved.reason,
        "actor": moved.actor,
        "at": instant::text(moved.at),
        "history": format!("tidegate history {}", moved.rollout_id),
        "rollback": rollback(&moved.rollout_id),
    })
}

fn rollback(id: &RolloutId) -> String {
    format!("tidegate rollback {id}")
}
