//! The queries of checks: what kind of metric they make, what is wrong with them, and what a writer should know.

use super::Findings;
use crate::check::Check;
use crate::metric::{Metric, check_name};
use crate::query::{Query, Template};

/// What a check's metric is: by its query if it has one, else by its name.
pub(super) fn kind(path: &str, check: &Check, findings: &mut Findings) -> Option<Metric> {
    let Some(query) = &check.query else {
        return Metric::parse(&check.metric)
            .map_err(|sentence| findings.refuse(format!("{path}.metric"), sentence))
            .ok();
    };
    if let Err(sentence) = check_name(&check.metric) {
        findings.refuse(format!("{path}.metric"), sentence);
        return None;
    }
    let refusals = query.refusals();
    let is_readable = refusals.is_empty();
    for (field, sentence) in refusals {
        findings.refuse(format!("{path}.query.{field}"), sentence);
    }
    let kind = query
        .metric(&check.metric)
        .map_err(|sentence| findings.refuse(format!("{path}.query"), sentence))
        .ok()
        .filter(|_| is_readable)?;
    arms(path, check, query, findings);
    notes(path, check, query, findings);
    Some(kind)
}

/// A query that does not tell the arms apart gives both the same numbers.
fn arms(path: &str, check: &Check, query: &Query, findings: &mut Findings) {
    if !query.is_same_for_both_arms() {
        return;
    }
    let sets = check.rules.sets();
    let mut names = sets.iter().flat_map(crate::check::RuleSet::limits).map(|(name, _)| name);
    if names.any(|name| name.comparator().is_relative()) {
        let sentence = "both arms would be asked the same, so nothing could be compared: write `{version}` or `{arm}`";
        findings.refuse(format!("{path}.query"), sentence);
    } else {
        findings.note(path, "query: it names neither {version} nor {arm}, so it must select the candidate by itself");
    }
}

/// What can go wrong without anybody noticing.
fn notes(path: &str, check: &Check, query: &Query, findings: &mut Findings) {
    if query.bad.is_some() {
        let sentence = "query.bad: it selects a part, and where that matches nothing it counts as 0; a misspelt label would look \
                        like no failures, so try it in Prometheus once";
        findings.note(path, sentence);
    }
    if query.good.is_some() {
        let sentence = "query.good: it selects a part, and where that matches nothing it counts as 0; a misspelt label would look \
                        like failures only, so try it in Prometheus once";
        findings.note(path, sentence);
    }
    let is_seconds = |text: &String| {
        Template::parse(text)
            .is_ok_and(|template| template.series().is_some_and(|name| name.ends_with("_seconds_bucket")))
    };
    if check.metric.ends_with("_ms") && query.buckets.as_ref().is_some_and(is_seconds) {
        findings.note(
            path,
            "query.buckets: these are seconds, and so is the limit, though the metric's name says milliseconds",
        );
    }
    if query.value.is_some() && check.min_samples.is_some() {
        findings.note(path, "min_samples: without effect, one number says nothing about its samples");
    }
}
