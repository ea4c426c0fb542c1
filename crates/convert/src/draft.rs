//! The policy that an importer makes, and its text: one that a person would want to read, with what the source said beside each check.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use judge::check::{Action, FailureMode, Method, RuleSet, Window};
use judge::settings::{Settings, StepShape};
use judge::{Check, Query, Span};
use rollout::{Policy, PolicyError, Share};
use serde::Serialize;
use serde_json::Value;
use serde_saphyr::FlowMap;

use crate::error::Error;
use crate::word::visible;

/// Widest line of a comment, in characters.
const WIDTH: usize = 110;

/// A policy as far as sources can say one.
pub(crate) struct Draft {
    /// Where it came from, a paragraph each.
    pub(crate) origin: Vec<String>,
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) checks: Vec<Commented>,
    /// Fields of the plan, each with its value and why it has it.
    pub(crate) terms: Vec<(&'static str, String, String)>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: Option<String>,
    pub(crate) share: Share,
    pub(crate) dwell: Span,
    /// Whether a person is asked before its split.
    pub(crate) gate: bool,
}

/// A check, and what the source said.
#[derive(Debug)]
pub(crate) struct Commented {
    pub(crate) comment: String,
    pub(crate) check: Check,
}

/// A check in the order in which people write one.
#[derive(Serialize)]
struct Written<'a> {
    metric: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a Query>,
    rules: FlowMap<BTreeMap<&'static str, Value>>,
    method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_mode: Option<FailureMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_samples: Option<u64>,
    action: Action,
}

impl Draft {
    /// The text, read back: what is no policy is an error, and never handed out.
    pub(crate) fn into_text(self) -> Result<String, Error> {
        let mut text = String::new();
        for (at, paragraph) in self.origin.iter().enumerate() {
            text += if at == 0 { "" } else { "#\n" };
            text += &comment(paragraph, "");
        }
        let _ = write!(text, "name: {}\nstrategy: canary\n\nsteps:\n", quoted(&self.name));
        self.steps.iter().for_each(|step| text += &step.line());
        if !self.checks.is_empty() {
            text += "\nchecks:";
        }
        for Commented { comment: said, check } in &self.checks {
            let _ = write!(text, "\n{}{}", comment(said, "  "), item(check));
        }
        for (at, (name, value, why)) in self.terms.iter().enumerate() {
            text += if at == 0 || !why.is_empty() { "\n" } else { "" };
            let _ = writeln!(text, "{}{name}: {value}", comment(why, ""));
        }
        Policy::from_yaml(&text).map_err(without_places)?;
        Ok(text)
    }
}

impl Step {
    pub(crate) fn new(share: Share, dwell: Span) -> Self {
        Self { name: None, share, dwell, gate: false }
    }

    fn line(&self) -> String {
        let name = self.name.as_ref().map(|name| format!("name: {}, ", quoted(name))).unwrap_or_default();
        // Only the last one of 100 % may do without time.
        let dwell = if self.dwell.0 == 0 && self.share == Share::WHOLE {
            String::new()
        } else {
            format!(", dwell: {}", quoted(&self.dwell.to_string()))
        };
        let gate = if self.gate { ", gate: true" } else { "" };
        format!("  - {{{name}split: {}{dwell}{gate}}}\n", self.share.percent())
    }
}

/// What is wrong without its lines: they are those of a text that nobody has seen.
fn without_places(mut error: PolicyError) -> Error {
    error.problems.iter_mut().for_each(|problem| (problem.line, problem.column) = (None, None));
    Error::Policy(error)
}

/// Adds a check, unless it is there already. A name that has another query gets a number, because a name has one query.
pub(crate) fn add(new: Commented, checks: &mut Vec<Commented>) {
    let same = |a: &Check, b: &Check| (&a.query, &a.rules, a.action) == (&b.query, &b.rules, b.action);
    let is_taken =
        |name: &String| checks.iter().any(|known| known.check.metric == *name && known.check.query != new.check.query);
    let name = &new.check.metric;
    let free = numbered(name).find(|name| !is_taken(name)).unwrap_or_default();
    if checks.iter().any(|known| known.check.metric == free && same(&known.check, &new.check)) {
        return;
    }
    checks.push(Commented { check: Check { metric: free, ..new.check }, ..new });
}

/// A metric's name, and then the same with a number behind it, still short enough for a name.
pub(crate) fn numbered(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain((2..).map(move |number| format!("{}_{number}", &name[..name.len().min(58)])))
}

/// Why the judge would not take a check, if so.
pub(crate) fn refusal(check: &Check) -> Option<String> {
    let step = StepShape { dwell: Span::from_secs(3600), share: 0.05 };
    let problems = judge::resolve(std::slice::from_ref(check), &Settings::default(), &[step]).err()?;
    problems.first().map(|problem| format!("{}: {}", problem.path.trim_start_matches("checks[0]."), problem.message))
}

/// A check as an item of a list.
fn item(check: &Check) -> String {
    let limits = check.rules.sets().iter().flat_map(RuleSet::limits);
    let written = Written {
        metric: &check.metric,
        query: check.query.as_ref(),
        rules: FlowMap(limits.map(|(name, limit)| (name.as_str(), number(limit.value))).collect()),
        method: Method::Threshold,
        failure_group: check.failure_group.as_deref(),
        failure_mode: check.failure_mode,
        failure_limit: check.failure_limit,
        interval: check.interval,
        window: check.window,
        min_samples: check.min_samples,
        action: check.action,
    };
    // A text that is folded would be another one if it held two blanks.
    let options = serde_saphyr::ser_options! { min_fold_chars: usize::MAX };
    let lines =
        serde_saphyr::to_string_with_options(&written, options).expect("a check is a tree of texts and numbers");
    let mut lines = lines.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") });
    let first = lines.next().map(|line| line.replacen("    ", "  - ", 1));
    first.into_iter().chain(lines).collect()
}

/// A number as people write it: 5000 rather than 5000.0.
fn number(value: f64) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|_| value.into())
}

/// A text as YAML writes it on one line.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    let is_span = text.parse::<Span>().is_ok() && text.ends_with(|last: char| last.is_ascii_alphabetic());
    if is_plain || is_span { text.to_owned() } else { Value::from(text).to_string() }
}

/// A paragraph as comment lines; none of nothing.
pub(crate) fn comment(text: &str, indent: &str) -> String {
    let text: String = text.chars().map(visible).collect();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| format!("{indent}# {line}\n")).collect()
}
