//! Closed sets of label values. What a person or a model server wrote is in the log and in the rows, never in a label.

use rollout::Refusal;

/// The first word of a rollout's reason, as far as the machine made it.
const REASONS: &[&str] = &[
    "already_active",
    "another_live",
    "bad_policy",
    "bad_target_stage",
    "breach",
    "cancel",
    "degraded",
    "gate_expired",
    "gate_rejected",
    "inconclusive",
    "lease_expired",
    "no_verdict",
    "not_promotable",
    "not_ready",
    "pause_expired",
    "queue_limit",
    "rollback",
    "route_drifted",
    "split_failed",
    "split_not_applied",
    "superseded",
    "unknown_model",
    "unknown_policy",
    "unknown_version",
    "workload_failed",
];

/// Why a service refuses, besides the machine's own words.
const REFUSALS: &[&str] = &[
    "conflict",
    "duplicate",
    "exists",
    "match_taken",
    "moved_since",
    "unknown_model",
    "unknown_rollout",
    "unknown_wish",
];

/// What any other text is counted as.
const OTHER: &str = "other";

/// Of a rollout.
pub(super) fn reason(text: Option<&str>) -> &'static str {
    let Some(text) = text else { return "none" };
    let word = text.split([':', ' ']).next().unwrap_or_default();
    REASONS.iter().copied().find(|known| *known == word).unwrap_or(OTHER)
}

/// Of a fact that changed nothing.
pub(super) fn refusal(text: Option<&str>) -> String {
    let Some(text) = text else { return "none".to_owned() };
    let is_known = REFUSALS.contains(&text) || Refusal::ALL.iter().any(|refusal| refusal.to_string() == text);
    if is_known { text } else { OTHER }.to_owned()
}
