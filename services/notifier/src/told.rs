//! Which news gives which message to which channel. Pure: what the rows say comes as an argument.

mod card;
mod page;
mod text;

use proto::{Message, RolloutMoved, RolloutWaiting};
use rollout::{At, PageResolve, Rollout, Stage};
use serde_json::Value;
use store::Transition;

pub(crate) use page::dedup_key;
pub(crate) use text::cut;

/// A way to somebody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// People who read.
    Slack,
    /// People who are woken.
    PagerDuty,
    /// Another system.
    Webhook,
}

impl Channel {
    pub(crate) const ALL: [Self; 3] = [Self::Slack, Self::PagerDuty, Self::Webhook];

    /// The stored word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::PagerDuty => "pagerduty",
            Self::Webhook => "webhook",
        }
    }
}

/// What a delivery is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something to read.
    Message,
    /// Opens a page.
    Trigger,
    /// Ends it.
    Resolve,
    /// Something that may explain a page.
    Change,
}

impl Kind {
    /// The stored word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Trigger => "trigger",
            Self::Resolve => "resolve",
            Self::Change => "change",
        }
    }
}

/// How Slack is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlackForm {
    /// A message when people must act or a rollout turns back, and one at its end.
    Incoming,
    /// One message a rollout, changed with each stage.
    App,
}

/// Who is there to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Listeners {
    pub(crate) slack: Option<SlackForm>,
    pub(crate) pagerduty: bool,
    pub(crate) webhook: bool,
}

impl Listeners {
    pub(crate) const fn has(self, channel: Channel) -> bool {
        match channel {
            Channel::Slack => self.slack.is_some(),
            Channel::PagerDuty => self.pagerduty,
            Channel::Webhook => self.webhook,
        }
    }
}

/// What the rows say about the rollout of the news.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) rollout: Option<Rollout>,
    /// The entry of its log with which it turned back.
    pub(crate) turned: Option<Transition>,
    /// A page was asked for.
    pub(crate) has_trigger: bool,
}

/// One message for one receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) channel: Channel,
    pub(crate) version: i64,
    pub(crate) kind: Kind,
    /// None for what another system gets: that is the news itself.
    pub(crate) body: Option<Value>,
}

/// How a rollout turned back.
#[derive(Debug, Clone, PartialEq)]
struct Turn {
    version: i64,
    at: At,
    reason: String,
    issues: Vec<String>,
    severity: Option<Severity>,
}

/// How bad it is; none for what a person wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Critical,
    Error,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
        }
    }
}

/// Whether the rows must be asked before it is known who is told.
pub(crate) fn concerns(message: &Message) -> bool {
    match message {
        Message::RolloutMoved(moved) => is_change(moved),
        Message::RolloutWaiting(waiting) => waiting.version > 0,
        _ => false,
    }
}

/// The messages of a piece of news.
pub(crate) fn told(message: &Message, known: &Known, to: Listeners) -> Vec<Draft> {
    match message {
        Message::RolloutMoved(moved) if is_change(moved) => of_move(moved, known, to),
        Message::RolloutWaiting(waiting) if waiting.version > 0 => of_wait(waiting, known, to),
        Message::VersionRegistered(_)
        | Message::VersionRefused(_)
        | Message::VersionActivated(_)
        | Message::VersionRetired(_) => for_system(0, to),
        _ => Vec::new(),
    }
}

/// What adds evidence to a stage is no news for people.
fn is_change(moved: &RolloutMoved) -> bool {
    moved.from != Some(moved.to)
}

fn of_move(moved: &RolloutMoved, known: &Known, to: Listeners) -> Vec<Draft> {
    let is_told = match to.slack {
        Some(SlackForm::Incoming) => moved.to == Stage::Retreating || moved.to.is_final(),
        Some(SlackForm::App) => true,
        None => false,
    };
    let turn = turn(moved, known);
    let mut drafts = for_system(moved.version, to);
    if is_told {
        let issues = turn.as_ref().map_or(&[][..], |turn| &turn.issues);
        drafts.push(message(Channel::Slack, moved.version, card::of_move(moved, known, issues)));
    }
    if to.pagerduty {
        drafts.extend(pages(moved, known, turn.as_ref()));
    }
    drafts
}

/// A page opens when a rollout turns back by itself, and is over when the rollout is. News may come late and out of order: the
/// end says the beginning as well, which is there already as a rule, so that one page is opened and ended whatever comes first.
fn pages(moved: &RolloutMoved, known: &Known, turn: Option<&Turn>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let draft = |version, kind, body| Draft { channel: Channel::PagerDuty, version, kind, body: Some(body) };
    if moved.to == Stage::Completed {
        return vec![draft(moved.version, Kind::Change, page::change(moved))];
    }
    if let Some((turn, severity)) = turn.and_then(|turn| Some((turn, turn.severity?))) {
        drafts.push(draft(turn.version, Kind::Trigger, page::turned_back(moved, turn, severity)));
    }
    let by_hand = known.rollout.as_ref().is_some_and(|rollout| rollout.plan.page_resolve == PageResolve::ByHand);
    if moved.to.is_final() && !by_hand && (known.has_trigger || !drafts.is_empty()) {
        drafts.push(draft(moved.version, Kind::Resolve, page::over(moved)));
    }
    drafts
}

fn of_wait(waiting: &RolloutWaiting, known: &Known, to: Listeners) -> Vec<Draft> {
    let is_retreat = waiting.stage == Stage::Retreating;
    if is_retreat && known.rollout.as_ref().is_some_and(|rollout| rollout.stage.is_final()) {
        return Vec::new();
    }
    let mut drafts = Vec::new();
    if to.slack.is_some() {
        drafts.push(message(Channel::Slack, waiting.version, card::of_wait(waiting, known)));
    }
    if is_retreat {
        drafts.extend(for_system(waiting.version, to));
    }
    if is_retreat && to.pagerduty {
        let body = Some(page::not_applied(waiting, known));
        drafts.push(Draft { channel: Channel::PagerDuty, version: waiting.version, kind: Kind::Trigger, body });
    }
    drafts
}

fn for_system(version: i64, to: Listeners) -> Vec<Draft> {
    let draft = Draft { channel: Channel::Webhook, version, kind: Kind::Message, body: None };
    to.webhook.then_some(draft).into_iter().collect()
}

fn message(channel: Channel, version: i64, body: Value) -> Draft {
    Draft { channel, version, kind: Kind::Message, body: Some(body) }
}

/// How the rollout turned back, from its log; from the news themselves while the log is not there.
fn turn(moved: &RolloutMoved, known: &Known) -> Option<Turn> {
    let Some(entry) = &known.turned else {
        return (moved.to == Stage::Retreating).then(|| Turn {
            version: moved.version,
            at: moved.at,
            reason: moved.reason.clone().unwrap_or_default(),
            issues: Vec::new(),
            severity: Some(Severity::Error),
        });
    };
    if !moved.to.is_turned_back() {
        return None;
    }
    let issues = entry.evidence.as_ref().and_then(|evidence| evidence["issues"].as_array());
    let text = |issue: &Value| issue.as_str().map(str::to_owned);
    Some(Turn {
        version: entry.version,
        at: entry.decided_at,
        reason: entry.reason.clone().unwrap_or_default(),
        issues: issues.map(|issues| issues.iter().filter_map(text).collect()).unwrap_or_default(),
        severity: severity(entry),
    })
}

/// Whoever promotes something newer in its place commanded the retreat as well.
fn severity(entry: &Transition) -> Option<Severity> {
    match entry.fact_kind.as_str() {
        "commanded" | "overtaken" => None,
        "workload_failed" => Some(Severity::Critical),
        "verdict_reached" if entry.fact["what"]["result"] == "breach" => Some(Severity::Critical),
        _ => Some(Severity::Error),
    }
}

#[cfg(test)]
mod tests;
