//! Analyses: the templates that one names, their arguments, and the checks that come of their metrics.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use judge::Span;

use super::dry::Dry;
use super::metric::Metric;
use super::reasons;
use crate::document::{Beside, Object};
use crate::draft::{Commented, add};
use crate::error::Error;
use crate::fields::Fields;
use crate::note::Note;
use crate::word::excerpt;

/// All analyses of a rollout.
pub(super) struct Analyses {
    templates: Beside,
    checks: Vec<Commented>,
}

/// The values of arguments. One that is only declared, or only known when it runs, has none.
pub(super) type Arguments = BTreeMap<String, String>;

impl Analyses {
    pub(super) fn of(templates: Beside) -> Self {
        Self { templates, checks: Vec::new() }
    }

    /// Takes over one analysis; how long it would run as a step.
    pub(super) fn run(&mut self, mut analysis: Fields, notes: &mut Vec<Note>) -> Result<Span, Error> {
        let given = arguments(&mut analysis, notes)?;
        let mut dry = Dry::default();
        dry.read(&mut analysis, notes)?;
        let wanted = analysis.maps("templates")?.into();
        analysis.rest(reasons::OF_RUN, notes);
        let (mut names, mut longest) = (Vec::new(), Span::default());
        // All of them before the first metric, because the last one may say which metrics of the first are dry.
        for (told, mut spec) in self.specs(wanted, &mut dry, notes)? {
            let mut known = arguments(&mut spec, notes)?;
            known.extend(given.clone());
            for metric in spec.maps("metrics")? {
                let metric = Metric::read(metric, &known, notes)?;
                longest = longest.max(metric.lasting());
                names.push(metric.name().to_owned());
                let is_dry = dry.has(metric.name());
                metric.into_check(&told, is_dry, notes).into_iter().for_each(|check| add(check, &mut self.checks));
            }
            spec.rest(reasons::OF_TEMPLATE, notes);
        }
        dry.finish(&names, notes);
        Ok(longest)
    }

    /// What each template says, by its name. Templates may name templates, and each other.
    fn specs(
        &mut self,
        mut wanted: VecDeque<Fields>,
        dry: &mut Dry,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<(String, Fields)>, Error> {
        let (mut seen, mut specs) = (BTreeSet::new(), Vec::new());
        while let Some(reference) = wanted.pop_front() {
            let template = self.template(reference, notes)?;
            let told = template.told();
            if !seen.insert(told.clone()) {
                continue;
            }
            let mut spec = template.spec(notes)?;
            dry.read(&mut spec, notes)?;
            wanted.extend(spec.maps("templates")?);
            specs.push((told, spec));
        }
        Ok(specs)
    }

    /// The checks; templates that nobody named are told.
    pub(super) fn finish(self, notes: &mut Vec<Note>) -> Vec<Commented> {
        self.templates.rest(notes);
        self.checks
    }

    fn template(&mut self, mut reference: Fields, notes: &mut Vec<Note>) -> Result<Object, Error> {
        let place = reference.place().clone();
        let name = reference.required("templateName", "success-rate")?;
        let kind = if reference.truth("clusterScope")? { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" };
        reference.rest(&[], notes);
        let template = self.templates.find(|object| object.kind == kind && object.name == name);
        template.ok_or_else(|| {
            place.refuse(format!("{kind} {} is in none of the files: name its file as well", excerpt(&name)))
        })
    }
}

fn arguments(fields: &mut Fields, notes: &mut Vec<Note>) -> Result<Arguments, Error> {
    let mut known = Arguments::new();
    for mut argument in fields.maps("args")? {
        let name = argument.required("name", "service-name")?;
        let value = argument.text("value")?;
        if let Some((_, place)) = argument.take("valueFrom") {
            notes.push(
                place.note(format!(
                    "is only known when it runs, so `{{{{args.{}}}}}` has no value here",
                    excerpt(&name)
                )),
            );
        }
        argument.rest(&[], notes);
        known.extend(value.map(|value| (name, value)));
    }
    Ok(known)
}
