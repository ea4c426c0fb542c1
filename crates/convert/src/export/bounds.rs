//! What of a policy's checks others can say: absolute limits of one value.

use judge::check::{Action, Comparator, FailureMode, Method, Window};
use judge::{Metric, ResolvedCheck, SignalName, Span};
use rollout::Plan;

use super::expression::{self, Source};
use super::rows::Rows;
use super::{Target, tidy};
use crate::note::Note;

/// A check with limits that others know.
pub(super) struct Bounded<'a> {
    /// Its place in the policy.
    pub(super) path: String,
    pub(super) check: &'a ResolvedCheck,
    pub(super) source: Source,
    pub(super) window: Span,
    /// Breached below, and above.
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
    pub(super) failures: u32,
}

/// A limit, and whether it is a breach itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    pub(super) limit: f64,
    pub(super) is_breach: bool,
}

/// The checks that others can say; all else is named.
pub(super) fn bounded<'a>(plan: &'a Plan, target: Target, rows: &mut Rows, notes: &mut Vec<Note>) -> Vec<Bounded<'a>> {
    let checks = plan.checks.iter().flat_map(|resolved| &resolved.checks).enumerate();
    let one = |(at, check)| {
        let path = format!("checks[{at}]");
        let read = Bounded::of(check, path.clone(), longest(plan), target, notes);
        match read {
            Ok(bounded) => {
                bounded.told(target, rows, notes);
                Some(bounded)
            }
            Err(why) => {
                rows.take_all(&path);
                notes.push(Note { path, text: format!("({}) was left out: {why}", check.metric) });
                None
            }
        }
    };
    let bounded: Vec<_> = checks.filter_map(one).collect();
    if bounded.is_empty() && plan.checks.is_some() {
        let text = "NOTHING IS JUDGED there: none of them has an equal, so each step only runs its time";
        notes.push(Note { path: "checks".to_owned(), text: text.to_owned() });
    }
    bounded
}

/// The longest dwell: never sooner than the policy lets it.
pub(super) fn longest(plan: &Plan) -> Span {
    plan.steps.iter().map(|step| step.dwell).max().filter(|dwell| dwell.0 > 0).unwrap_or(Span::from_secs(60))
}

impl<'a> Bounded<'a> {
    fn of(
        check: &'a ResolvedCheck,
        path: String,
        step: Span,
        target: Target,
        notes: &mut Vec<Note>,
    ) -> Result<Self, &'static str> {
        if check.action == Action::Report && target == Target::Flagger {
            return Err("it is only reported, and there every check counts");
        }
        let source = source(check)?;
        let (mut low, mut high, mut failures) = (None, None, u32::MAX);
        for (at, rule) in check.rules.iter().enumerate() {
            let bound = |is_breach| Some(Bound { limit: rule.limit, is_breach });
            match rule.comparator {
                Comparator::Gt => high = lower(high, bound(false)),
                Comparator::Gte => high = lower(high, bound(true)),
                Comparator::Lt => low = higher(low, bound(false)),
                Comparator::Lte => low = higher(low, bound(true)),
                Comparator::RelativeIncrease | Comparator::RelativeDecrease => {
                    let path = format!("{path}.rules[{at}].{}", rule.name.as_str());
                    let text = "compares with the version that serves at the same time, which has no equal, so it was left out";
                    notes.push(Note { path, text: format!("({}) {text}", rule.limit_text) });
                    continue;
                }
            }
            failures = failures.min(rule.failure_limit);
        }
        if low.is_none() && high.is_none() {
            return Err("it has no absolute limit");
        }
        let window = match check.window {
            Window::Last(window) => window,
            Window::Step => step,
        };
        Ok(Self { path, check, source, window, low, high, failures })
    }

    /// Takes what the manifest says of it, and names what changes its meaning.
    fn told(&self, target: Target, rows: &mut Rows, notes: &mut Vec<Note>) {
        let Self { path, check, .. } = self;
        let mut note = |field: &str, text: String| notes.push(Note { path: format!("{path}.{field}"), text });
        rows.take(&format!("{path}.metric"));
        rows.take_all(&format!("{path}.query"));
        for (at, rule) in check.rules.iter().enumerate() {
            rows.take(&format!("{path}.rules[{at}].{}", rule.name.as_str()));
            if rule.failure_mode == FailureMode::Total || rule.failure_limit == 1 {
                ["failure_limit", "failure_mode"]
                    .iter()
                    .for_each(|name| rows.take(&format!("{path}.rules[{at}].{name}")));
            }
        }
        if check.method == Method::Sequential {
            let window = super::short(self.window);
            note(
                "method",
                format!(
                    "(sequential) has no equal: there the value of the last {window} is held against the limit, without a bound on false alarms"
                ),
            );
            rows.take(&format!("{path}.method"));
        }
        if matches!(check.action, Action::Hold | Action::Gate) {
            let word = if check.action == Action::Hold { "hold" } else { "gate" };
            note("action", format!("({word}) has no equal: there a check that fails takes the traffic back"));
        }
        rows.take(&format!("{path}.action"));
        if check.window == Window::Step {
            let window = super::short(self.window);
            note("window", format!("(step) has no equal: there it is the last {window}"));
            rows.take(&format!("{path}.window"));
        }
        if target == Target::Flagger && [self.low, self.high].iter().flatten().any(|bound| bound.is_breach) {
            note("rules", "a value that equals its limit passes there".to_owned());
        }
    }

    /// The limits, turned and scaled: those of failures become those of successes.
    pub(super) fn of_successes(&self) -> (Option<f64>, Option<f64>) {
        let percent = |bound: Option<Bound>| bound.map(|bound| tidy(bound.limit * 100.0));
        let turned = |bound: Option<Bound>| bound.map(|bound| tidy((1.0 - bound.limit) * 100.0));
        match self.source {
            Source::Failures => (turned(self.high), turned(self.low)),
            _ => (percent(self.low), percent(self.high)),
        }
    }
}

/// Where others find the value.
fn source(check: &ResolvedCheck) -> Result<Source, &'static str> {
    if let Some(query) = &check.query {
        return Ok(Source::Query(expression::of(query, &check.kind)));
    }
    match &check.kind {
        Metric::Proportion { signal, complement } if *signal == SignalName::error() => {
            Ok(if *complement { Source::Successes } else { Source::Failures })
        }
        Metric::Quantile { signal, percent } if *signal == SignalName::latency() => Ok(Source::Latency(*percent)),
        Metric::Quantile { .. } => Err("the time to the first byte is counted by Tidegate's router alone"),
        _ => Err("it is fed by observations, which are posted to Tidegate: put them into Prometheus and write a query"),
    }
}

fn lower(known: Option<Bound>, new: Option<Bound>) -> Option<Bound> {
    known.into_iter().chain(new).min_by(|a, b| a.limit.total_cmp(&b.limit))
}

fn higher(known: Option<Bound>, new: Option<Bound>) -> Option<Bound> {
    known.into_iter().chain(new).max_by(|a, b| a.limit.total_cmp(&b.limit))
}
