//! From metrics to checks: the two that Flagger has built in, those of a `MetricTemplate`, and PromQL in the metric itself.

use judge::check::{FailureMode, Method, RuleSet, Rules, Window};
use judge::{Check, Span};

use super::metric::Metric;
use crate::document::{Beside, Object};
use crate::draft::{Commented, add, refusal};
use crate::error::Error;
use crate::fields::{Fields, Reasons};
use crate::note::Note;
use crate::query::{asking, filled};
use crate::word::excerpt;

/// The name of the counter that all checks share.
const GROUP: &str = "checks";

const DURATION: &str = "became a p99, counted by the router; Flagger's is a p99 with most meshes and a mean with nginx and skipper, and a \
                        mean hides the slow ones: write p50_latency_ms to p99_latency_ms for another percentile";

const OF_TEMPLATE: Reasons = &[("provider", "is one for all policies here: `TIDEGATE_PROMETHEUS_URL`")];

/// What the placeholders of all queries stand for.
pub(super) struct Values(Vec<(&'static str, String)>);

/// What all metrics of a Canary have in common.
pub(super) struct Metrics<'a> {
    pub(super) interval: Span,
    pub(super) threshold: u32,
    pub(super) values: &'a Values,
}

impl Values {
    pub(super) fn of(name: String, namespace: Option<String>, spec: &Fields) -> Self {
        let known = |path: &[&str]| spec.peek(path).map(str::to_owned);
        let target = known(&["targetRef", "name"]);
        let pairs = [
            ("name", Some(name)),
            ("namespace", Some(namespace.unwrap_or_else(|| "default".to_owned()))),
            ("service", known(&["service", "name"]).or_else(|| target.clone())),
            ("target", target),
            ("ingress", known(&["ingressRef", "name"])),
            ("route", known(&["routeRef", "name"])),
        ];
        Self(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

impl Metrics<'_> {
    pub(super) fn checks(
        &self,
        analysis: &mut Fields,
        templates: &mut Beside,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Commented>, Error> {
        let mut checks: Vec<Commented> = Vec::new();
        for mut fields in analysis.maps("metrics")? {
            let metric = Metric::read(&mut fields, notes)?;
            let inline = fields.text("query")?;
            let template = fields.map("templateRef")?;
            fields.rest(&[], notes);
            let made = match (template, inline) {
                (Some(reference), beside) => {
                    notes.extend(beside.map(|query| {
                        metric.place.field("query").note(format!(
                            "({}) was left out: beside it `templateRef` counts here, and Flagger asks both; write a metric of its own for it",
                            excerpt(&query)
                        ))
                    }));
                    let template = self.template(reference, templates, notes)?;
                    self.templated(&metric, template, notes)?
                }
                (None, Some(query)) => self.asked(&metric, &query, "the query in it", notes),
                (None, None) => self.built_in(&metric, notes),
            };
            made.into_iter().for_each(|check| add(check, &mut checks));
        }
        Ok(checks)
    }

    /// One of the two that every mesh has. The router counts what was answered, so no mesh is asked.
    fn built_in(&self, metric: &Metric, notes: &mut Vec<Note>) -> Option<Commented> {
        let (name, whole, source) = match metric.name.as_str() {
            "request-success-rate" => (
                "request_success_rate",
                100.0,
                "Counted by the router: whatever is no server error and no timeout is a success.",
            ),
            "request-duration" => {
                notes.push(metric.place.note(DURATION));
                ("p99_latency_ms", 1.0, "Counted by the router, to the end of the answer.")
            }
            other => {
                let told =
                    "asks nothing that is known here, so it was left out: it has neither `templateRef` nor `query`";
                notes.push(metric.place.note(format!("({}) {told}", excerpt(other))));
                return None;
            }
        };
        let check = Check { metric: name.to_owned(), ..self.counted(metric, whole) };
        if let Some(why) = refusal(&check) {
            notes.push(metric.place.note(format!("({}) was left out: {why}", excerpt(&metric.name))));
            return None;
        }
        Some(Commented { comment: format!("{} {source}", metric.told()), check })
    }

    /// The template that a metric names.
    fn template(&self, mut reference: Fields, templates: &mut Beside, notes: &mut Vec<Note>) -> Result<Object, Error> {
        let place = reference.place().clone();
        let name = reference.required("name", "not-found-percentage")?;
        let namespace = reference.text("namespace")?.or_else(|| self.values.get("namespace")).unwrap_or_default();
        // There is one kind of templates.
        reference.take("kind");
        reference.take("apiVersion");
        reference.rest(&[], notes);
        let is_there = |object: &Object| object.namespace.as_ref().is_none_or(|of| *of == namespace);
        let template =
            templates.find(|object| object.kind == "MetricTemplate" && object.name == name && is_there(object));
        template.ok_or_else(|| {
            let told = format!("MetricTemplate {}/{}", excerpt(&namespace), excerpt(&name));
            place.refuse(format!("{told} is in none of the files: name its file as well"))
        })
    }

    fn templated(&self, metric: &Metric, template: Object, notes: &mut Vec<Note>) -> Result<Option<Commented>, Error> {
        let told = template.told();
        let mut spec = template.spec(notes)?;
        let query = spec.required("query", "sum(rate(requests_total{status=\"500\"}[{{ interval }}]))")?;
        let provider = spec.peek(&["provider", "type"]).unwrap_or_default().to_owned();
        spec.rest(OF_TEMPLATE, notes);
        if provider == "prometheus" {
            return Ok(self.asked(metric, &query, &told, notes));
        }
        notes.push(metric.place.note(format!(
            "({}) was left out, {} can't be asked: put its number into Prometheus, or post it (`tidegate observe`)",
            excerpt(&metric.name),
            excerpt(&provider)
        )));
        Ok(None)
    }

    fn asked(&self, metric: &Metric, query: &str, told: &str, notes: &mut Vec<Note>) -> Option<Commented> {
        match filled(query, |name| self.value(metric, name)) {
            Ok(query) => {
                let check = (metric.name.as_str(), self.counted(metric, 1.0));
                let check = asking(&query, check, &metric.place, notes)?;
                Some(Commented { comment: format!("{} From {told}.", metric.told()), check })
            }
            Err(placeholder) => {
                let told = format!("was left out: `{placeholder}` in its query has no value that is known here");
                notes.push(metric.place.note(format!("({}) {told}", excerpt(&metric.name))));
                None
            }
        }
    }

    /// What a placeholder stands for.
    fn value(&self, metric: &Metric, name: &str) -> Option<String> {
        match name.strip_prefix("variables.") {
            Some(variable) => metric.variables.get(variable).cloned(),
            None if name == "interval" => Some(metric.interval.clone()),
            None => self.values.get(name),
        }
    }

    /// A check that looks and counts as Flagger does.
    fn counted(&self, metric: &Metric, whole: f64) -> Check {
        Check {
            rules: Rules::One(Box::<RuleSet>::new(metric.rules(whole))),
            method: Some(Method::Threshold),
            failure_group: Some(GROUP.to_owned()),
            failure_mode: Some(FailureMode::Total),
            failure_limit: Some(self.threshold),
            interval: Some(self.interval),
            window: Some(Window::Last(metric.window)),
            min_samples: Some(0),
            ..Check::default()
        }
    }
}
