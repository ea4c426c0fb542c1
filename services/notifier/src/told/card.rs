//! What Slack gets: a text, and the same in blocks.

use proto::{RolloutMoved, RolloutWaiting};
use rollout::{RolloutId, Stage};
use serde_json::{Value, json};

use super::Known;
use super::text::escaped;

/// Limits of Slack, in characters.
const HEADER_CHARS: usize = 150;
const SECTION_CHARS: usize = 3_000;
const FIELD_CHARS: usize = 2_000;
/// So many issues are told, each so long, that a section always has room for them.
const ISSUES: usize = 5;
const ISSUE_CHARS: usize = 400;
/// The top-level text is for notifications, which show a line.
const TEXT_CHARS: usize = 500;

/// A rollout went to another stage.
pub(super) fn of_move(moved: &RolloutMoved, known: &Known, issues: &[String]) -> Value {
    let name = format!("{} {}", moved.model, moved.candidate);
    let title = match moved.to {
        Stage::Retreating => format!("{name}: taking the traffic back"),
        Stage::Completed => format!("{name} is the active version"),
        Stage::RolledBack => format!("{name} was rolled back"),
        Stage::Rejected => format!("{name} was rejected"),
        Stage::Superseded => format!("{name} gave way to a newer version"),
        Stage::Cancelled => format!("{name} was cancelled"),
        Stage::Gated => format!("{name} waits for an approval"),
        other => format!("{name}: {other}"),
    };
    let previous = moved.previous.as_ref().map_or("none", |version| version.as_str());
    let steps = known.rollout.as_ref().map(|rollout| format!(" of {}", rollout.plan.steps.len())).unwrap_or_default();
    let fields = [
        ("Version", format!("{previous} -> {}", moved.candidate)),
        ("Stage", moved.to.to_string()),
        ("Step", format!("{}{steps}", moved.step + 1)),
        ("Share", format!("{} %", f64::from(moved.split_bp) / 100.0)),
        ("By", moved.actor.clone()),
        ("Tenant", moved.tenant.to_string()),
    ];
    Card { title, fields: &fields, reason: moved.reason.as_deref(), issues, hint: hint(moved.to, &moved.rollout_id) }
        .body()
}

/// A rollout waits for somebody.
pub(super) fn of_wait(waiting: &RolloutWaiting, known: &Known) -> Value {
    let candidate = known.rollout.as_ref().map_or("", |rollout| rollout.candidate.as_str());
    let name = format!("{} {candidate}", waiting.model);
    let title = match waiting.stage {
        Stage::Retreating => format!("{name}: the retreat is not applied, users may still reach it"),
        Stage::Gated => format!("{name} waits for an approval"),
        Stage::Paused => format!("{name} is paused"),
        other => format!("{name} waits: {other}"),
    };
    let mut fields = vec![
        ("Stage", waiting.stage.to_string()),
        ("Since", proto::instant::text(waiting.since)),
        ("Tenant", waiting.tenant.to_string()),
    ];
    fields.extend(waiting.until.map(|until| ("Until", proto::instant::text(until))));
    let hint = hint(waiting.stage, &waiting.rollout_id);
    Card { title, fields: &fields, reason: waiting.reason.as_deref(), issues: &[], hint }.body()
}

fn hint(stage: Stage, id: &RolloutId) -> String {
    match stage {
        Stage::Gated => format!("`tidegate approve {id}` or `tidegate reject {id}`"),
        Stage::Paused => format!("`tidegate resume {id}` or `tidegate rollback {id}`"),
        stage if stage.is_final() => format!("`tidegate history {id}`"),
        Stage::Retreating => format!("`tidegate show {id}`"),
        _ => format!("`tidegate show {id}` or `tidegate rollback {id}`"),
    }
}

struct Card<'a> {
    title: String,
    fields: &'a [(&'static str, String)],
    reason: Option<&'a str>,
    issues: &'a [String],
    hint: String,
}

impl Card<'_> {
    fn body(&self) -> Value {
        let because = self.reason.map(|reason| format!("{}: {reason}", self.title));
        let fields: Vec<Value> = self
            .fields
            .iter()
            .map(|(name, value)| mrkdwn(&format!("*{name}*\n{}", escaped(value, FIELD_CHARS - 20))))
            .collect();
        let mut blocks = vec![
            json!({ "type": "header", "text": { "type": "plain_text", "text": escaped(&self.title, HEADER_CHARS) } }),
            json!({ "type": "section", "fields": fields }),
        ];
        let mut lines: Vec<String> = self.reason.iter().map(|reason| escaped(reason, SECTION_CHARS / 4)).collect();
        let told =
            self.issues.iter().filter(|issue| self.reason.is_none_or(|reason| !reason.ends_with(issue.as_str())));
        lines.extend(told.take(ISSUES).map(|issue| format!("• {}", escaped(issue, ISSUE_CHARS))));
        if !lines.is_empty() {
            blocks.push(json!({ "type": "section", "text": mrkdwn(&lines.join("\n")) }));
        }
        blocks.push(json!({ "type": "context", "elements": [mrkdwn(&self.hint)] }));
        json!({ "text": escaped(&because.unwrap_or_else(|| self.title.clone()), TEXT_CHARS), "blocks": blocks })
    }
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}
