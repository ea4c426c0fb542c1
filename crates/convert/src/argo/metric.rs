//! One metric of an analysis, and the check that comes of it.

use judge::check::{Action, FailureMode, Method, RuleSet, Rules, Window};
use judge::{Check, Span};

use super::analysis::Arguments;
use super::{Condition, INTERVAL, reasons};
use crate::draft::Commented;
use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;
use crate::query::{asking, filled};
use crate::word::excerpt;

/// A metric with its arguments filled in.
pub(super) struct Metric {
    place: Place,
    name: String,
    /// What Prometheus is asked; nothing if something else is, or if it can't be filled in, which has been told.
    query: Option<String>,
    interval: Option<Span>,
    delay: Span,
    count: u32,
    success: Option<String>,
    failure: Option<String>,
    /// Failed measurements that are borne; -1 is any number.
    failures: i64,
}

impl Metric {
    pub(super) fn read(mut fields: Fields, known: &Arguments, notes: &mut Vec<Note>) -> Result<Self, Error> {
        let place = fields.place().clone();
        let name = fields.required("name", "success-rate")?;
        let mut said = |field: &str| -> Result<Option<String>, Error> {
            let Some(text) = fields.text(field)? else { return Ok(None) };
            let unknown =
                |placeholder| place.field(field).refuse(format!("`{placeholder}` has no value: write one into `args`"));
            filled(&text, |name| value(known, name)).map(Some).map_err(unknown)
        };
        let (success, failure) = (said("successCondition")?, said("failureCondition")?);
        let whole = |field: &str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => text.trim().parse::<i64>().map(Some).map_err(|_| {
                place.field(field).refuse(format!("({}) is no whole number: write one such as `3`", excerpt(&text)))
            }),
        };
        let failures = whole("failureLimit", said("failureLimit")?)?.unwrap_or_default();
        let count = whole("count", said("count")?)?.and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        let interval = fields.span("interval")?.filter(|interval| interval.0 > 0);
        // Left in the fields as well, where it is named.
        let delay = fields.peek(&["initialDelay"]).and_then(|text| text.parse().ok()).unwrap_or_default();
        let query = query(&mut fields, (&place, &name), known, notes)?;
        fields.rest(reasons::OF_METRIC, notes);
        Ok(Self { place, name, query, interval, delay, count: count.max(1), success, failure, failures })
    }

    /// How long it takes as a step of its own.
    pub(super) fn lasting(&self) -> Span {
        let rounds = u64::from(self.count - 1);
        let interval = self.interval.unwrap_or_default();
        Span(interval.0.saturating_mul(rounds).saturating_add(self.delay.0)).min(Span::MAX)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The check; where there is none, a note has said why.
    pub(super) fn into_check(self, told: &str, is_dry: bool, notes: &mut Vec<Note>) -> Option<Commented> {
        let query = self.query.as_ref()?;
        let rules = self.rules(notes)?;
        let Some(limit) =
            self.failures.checked_add(1).and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0)
        else {
            notes.push(
                self.left_out("failureLimit", "it fails as often as it likes until it holds, which has no equal"),
            );
            return None;
        };
        let interval = self.interval.unwrap_or(INTERVAL);
        let check = Check {
            rules: Rules::One(Box::new(rules)),
            method: Some(Method::Threshold),
            failure_limit: Some(limit),
            failure_mode: Some(FailureMode::Total),
            interval: Some(interval),
            window: Some(Window::Last(interval)),
            action: if is_dry { Action::Report } else { Action::Rollback },
            ..Check::default()
        };
        let check = asking(query, (&self.name, check), &self.place, notes)?;
        let borne = if self.failures == 0 { "none may fail".to_owned() } else { format!("{} may fail", self.failures) };
        let dry = if is_dry { " A dry run: it is told, and changes nothing." } else { "" };
        let comment = format!("Argo: {} of {told}, {}; {borne}.{dry}", excerpt(&self.name), self.conditions());
        Some(Commented { comment, check })
    }

    fn conditions(&self) -> String {
        let said = |word: &str, text: &Option<String>| text.as_ref().map(|text| format!("{word} if {}", excerpt(text)));
        let both = [said("succeeds", &self.success), said("fails", &self.failure)];
        both.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// What breaks it: the failure as it is said, else what is no success.
    fn rules(&self, notes: &mut Vec<Note>) -> Option<RuleSet> {
        let success = self.condition("successCondition", &self.success, notes);
        let failure = self.condition("failureCondition", &self.failure, notes);
        if let (Some(success), Some(failure)) = (&success, &failure)
            && !success.opposite().is_same(failure)
        {
            notes.push(self.place.field("successCondition").note(
                "between it and the failure Argo can't decide and stops; here only the failure counts, so that passes",
            ));
        }
        let broken = failure.or_else(|| success.map(|success| success.opposite()));
        if broken.is_none() && self.success.is_none() && self.failure.is_none() {
            notes.push(self.left_out("successCondition", "it has no condition, so it can't fail"));
        }
        broken.map(|broken| broken.rules())
    }

    fn condition(&self, field: &str, text: &Option<String>, notes: &mut Vec<Note>) -> Option<Condition> {
        let text = text.as_ref()?;
        let condition = Condition::read(text);
        match &condition {
            None => notes.push(self.place.field(field).note(format!(
                "({}) was left out: it is no comparison of one number with a limit, such as `result[0] >= 0.95`; write a check of \
                 your own for it",
                excerpt(text)
            ))),
            Some(read) if read.is_about_missing => notes.push(self.place.field(field).note(format!(
                "({}) says what no data means; here no data holds the rollout, whatever is said",
                excerpt(text)
            ))),
            Some(_) => {}
        }
        condition
    }

    fn left_out(&self, field: &str, why: &str) -> Note {
        self.place.field(field).note(format!("the check {} was left out: {why}", excerpt(&self.name)))
    }
}

/// What Prometheus is asked, if it is.
fn query(
    fields: &mut Fields,
    (place, name): (&Place, &str),
    known: &Arguments,
    notes: &mut Vec<Note>,
) -> Result<Option<String>, Error> {
    let Some(mut provider) = fields.map("provider")? else {
        return Err(place.field("provider").refuse("missing: write `prometheus: {query: …}`"));
    };
    let Some(mut prometheus) = provider.map("prometheus")? else {
        for (kind, _, place) in provider.into_pairs() {
            notes.push(place.note(format!(
                "{} can't be asked, so the check {} was left out: put its number into Prometheus, or post it (`tidegate observe`)",
                excerpt(&kind),
                excerpt(name)
            )));
        }
        return Ok(None);
    };
    let query = prometheus.required("query", "sum(rate(requests_total{status=\"500\"}[5m]))")?;
    prometheus.rest(reasons::OF_PROMETHEUS, notes);
    provider.rest(&[], notes);
    match filled(&query, |name| value(known, name)) {
        Ok(query) => Ok(Some(query)),
        Err(placeholder) => {
            notes.push(
                place.note(format!("({}) was left out: `{placeholder}` in its query has no value here", excerpt(name))),
            );
            Ok(None)
        }
    }
}

/// The value of `args.name`.
fn value(known: &Arguments, name: &str) -> Option<String> {
    known.get(name.strip_prefix("args.")?).cloned()
}
