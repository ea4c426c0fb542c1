//! agent-sre: the JSON of `CanaryRollout.to_dict()`, or of a list of `RolloutStep.to_dict()`.
//!
//! A `RollbackCondition` says when to go back, as our rules do. An `AnalysisCriterion` says what must hold for a step to be passed, so
//! its rule is the opposite and blocks the promotion. How often and over how many requests is what the preset llm-upgrade says.

use judge::check::{Action, Limit, Method, RuleSet, Rules, Window};
use judge::{Check, Metric, Span};
use rollout::Share;
use serde_json::Value;

use crate::draft::{Commented, Draft, Step, add, refusal};
use crate::error::Error;
use crate::fields::{Fields, Place, Reasons};
use crate::note::Note;
use crate::word::{excerpt, metric_name, policy_name};

const STATE: &str = "is the state of one rollout, and no part of a policy";

const OF_ROLLOUT: Reasons = &[
    ("rollout_id", STATE),
    ("state", STATE),
    ("current_step_index", STATE),
    ("current_weight", STATE),
    ("progress_percent", STATE),
    ("events", STATE),
];

pub(crate) fn import(values: Vec<(Value, Place)>, notes: &mut Vec<Note>) -> Result<Draft, Error> {
    let mut values = values.into_iter();
    let (value, place) = values.next().ok_or_else(|| {
        Error::Missing("nothing to import: give the JSON of a rollout's `to_dict()`, or a list of its steps".to_owned())
    })?;
    if let Some((_, place)) = values.next() {
        return Err(place.refuse("a second rollout: import one at a time"));
    }
    let mut rollout = match value {
        Value::Array(steps) => Fields::of(serde_json::json!({ "steps": steps }), place)?,
        other => Fields::of(other, place)?,
    };
    let name = rollout.text("name")?.unwrap_or_default();
    let mut checks = Vec::new();
    for condition in rollout.maps("rollback_conditions")? {
        rollback(condition, notes)?.into_iter().for_each(|check| add(check, &mut checks));
    }
    let steps = steps(&mut rollout, &mut checks, notes)?;
    rollout.rest(OF_ROLLOUT, notes);
    let terms = if checks.is_empty() { Vec::new() } else { terms() };
    Ok(Draft {
        origin: vec![
            format!("Made by `tidegate import agent-sre` from the rollout {}.", quoted_name(&name)),
            "Each check looks at the whole step, every 10 s, once 20 requests are in. No proof is no promotion."
                .to_owned(),
        ],
        name: policy_name(&name),
        steps,
        checks,
        terms,
    })
}

fn quoted_name(name: &str) -> String {
    if name.is_empty() { "without a name".to_owned() } else { format!("\"{}\"", excerpt(name)) }
}

fn terms() -> Vec<(&'static str, String, String)> {
    vec![
        ("tick", "5s".to_owned(), String::new()),
        ("warmup", "0s".to_owned(), String::new()),
        (
            "inconclusive_budget",
            "60s".to_owned(),
            "How long a step may take beyond its time until it is decided.".to_owned(),
        ),
        ("on_inconclusive", "rollback".to_owned(), String::new()),
    ]
}

fn steps(rollout: &mut Fields, checks: &mut Vec<Commented>, notes: &mut Vec<Note>) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let place = rollout.place().field("steps");
    for mut step in rollout.maps("steps")? {
        let share = share(&mut step, steps.last().map_or(Share::ZERO, |before: &Step| before.share))?;
        // What their constructor fills in.
        let dwell = step.span("duration_seconds")?.unwrap_or(Span::from_secs(3600));
        let name = step.text("name")?.filter(|name| !name.is_empty());
        let gate = step.truth("manual_gate")?;
        for criterion in step.maps("analysis")? {
            // The same one may stand in each step.
            criterion_of(criterion, notes)?.into_iter().for_each(|check| add(check, checks));
        }
        step.rest(&[], notes);
        steps.push(Step { name, share, dwell, gate });
    }
    if steps.last().is_some_and(|last| last.share < Share::WHOLE) {
        notes.push(place.note(
            "a step of 100 % was added: agent-sre promotes after the last one, here the last one is the promotion",
        ));
        steps.push(Step::new(Share::WHOLE, Span::default()));
    }
    Ok(steps)
}

/// A step's share, which is above 0 and never falls.
fn share(step: &mut Fields, before: Share) -> Result<Share, Error> {
    let place = step.place().field("weight");
    let weight = step.number("weight")?.ok_or_else(|| place.refuse("missing: write one such as 0.05"))?;
    let share = Share::of_weight(weight).map_err(|why| place.refuse(why))?;
    if share == Share::ZERO {
        return Err(place.refuse("0 sends the new version nothing: write a share above 0, or leave the step out"));
    }
    if share < before {
        return Err(
            place.refuse(format!("{share} is less than the {before} before it: a share never falls from step to step"))
        );
    }
    Ok(share)
}

fn rollback(condition: Fields, notes: &mut Vec<Note>) -> Result<Option<Commented>, Error> {
    let said = Said::read(condition, notes)?;
    let mut rules = RuleSet::default();
    let limit = Some(Limit::from(said.threshold));
    match said.comparator.as_str() {
        "gte" => rules.gte = limit,
        "lte" => rules.lte = limit,
        "gt" => rules.gt = limit,
        "lt" => rules.lt = limit,
        _ => return Ok(said.left_out(notes)),
    }
    Ok(said.into_check("Back if", rules, Action::Rollback, notes))
}

fn criterion_of(criterion: Fields, notes: &mut Vec<Note>) -> Result<Option<Commented>, Error> {
    let said = Said::read(criterion, notes)?;
    let mut rules = RuleSet::default();
    let limit = Some(Limit::from(said.threshold));
    match said.comparator.as_str() {
        "gte" => rules.lt = limit,
        "lte" => rules.gt = limit,
        _ => return Ok(said.left_out(notes)),
    }
    notes.push(
        said.place.note("became a check that blocks the promotion in every step: checks belong to the plan here"),
    );
    Ok(said.into_check("A step is passed if", rules, Action::Hold, notes))
}

/// A condition or a criterion, which look alike.
struct Said {
    place: Place,
    metric: String,
    threshold: f64,
    comparator: String,
}

impl Said {
    fn read(mut fields: Fields, notes: &mut Vec<Note>) -> Result<Self, Error> {
        let place = fields.place().clone();
        let metric = fields.required("metric", "error_rate")?;
        let threshold = fields.number("threshold")?;
        let threshold = threshold.ok_or_else(|| place.field("threshold").refuse("missing: write one such as 0.10"))?;
        let comparator = fields.text("comparator")?.unwrap_or_else(|| "gte".to_owned());
        fields.rest(&[], notes);
        Ok(Self { place, metric, threshold, comparator })
    }

    fn left_out(self, notes: &mut Vec<Note>) -> Option<Commented> {
        notes.push(self.place.field("comparator").note(format!(
            "({}) has no equal, so the check of {} was left out: write one with gte, lte, gt or lt",
            excerpt(&self.comparator),
            excerpt(&self.metric)
        )));
        None
    }

    fn into_check(self, told: &str, rules: RuleSet, action: Action, notes: &mut Vec<Note>) -> Option<Commented> {
        let check = Check {
            metric: metric_name(&self.metric),
            rules: Rules::One(Box::new(rules)),
            method: Some(Method::Threshold),
            action,
            min_samples: Some(20),
            interval: Some(Span::from_secs(10)),
            window: Some(Window::Step),
            ..Check::default()
        };
        if let Some(why) = refusal(&check) {
            notes.push(self.place.note(format!("({}) was left out: {why}", excerpt(&self.metric))));
            return None;
        }
        let observed = Metric::parse(&check.metric).ok().and_then(|kind| kind.signal().observed().map(str::to_owned));
        let source = observed
            .map(|name| format!(" Fed by the observation `{name}`, from responses or posted."))
            .unwrap_or_default();
        let comment = format!("{told} {} {} {}.{source}", excerpt(&self.metric), self.comparator, self.threshold);
        Some(Commented { comment, check })
    }
}
