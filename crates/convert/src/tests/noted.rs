//! That nothing is passed over in silence, field by field.

use judge::check::Action;

use super::{canary, imported, plan, rollout};
use crate::Format;

/// What is said of one field.
fn noted(format: Format, text: &str, path: &str) -> Vec<String> {
    let notes = imported(format, &[text]).unwrap_or_else(|error| panic!("{error}\n{text}")).notes;
    notes.into_iter().filter(|note| note.path == path).map(|note| note.text).collect()
}

/// Whether each check of a rollout only reports.
fn reports(text: &str) -> Vec<(String, bool)> {
    let checks = plan(&imported(Format::Argo, &[text]).unwrap().text).checks.unwrap().checks;
    checks.into_iter().map(|check| (check.metric, check.action == Action::Report)).collect()
}

/// A rollout with these dry runs, and with metrics in two templates.
fn dry(runs: &str) -> String {
    let metric = |name: &str| {
        format!(
            "[{{name: {name}, failureCondition: 'result > 1', provider: {{prometheus: {{query: 'max({name}{{}})'}}}}}}]"
        )
    };
    let run = "{analysis: {templates: [{templateName: t}, {templateName: u}]}, steps: [{setWeight: 10}]}";
    format!(
        "{}\n---\nkind: AnalysisTemplate\nmetadata: {{name: u}}\nspec: {{dryRun: {runs}, metrics: {}}}",
        rollout(run, &metric("latency")),
        metric("errors")
    )
}

#[test]
fn a_dry_run_of_everything_reports_the_metrics_of_all_templates() {
    let told = |is_dry: [bool; 2]| vec![("latency".to_owned(), is_dry[0]), ("errors".to_owned(), is_dry[1])];
    assert_eq!(reports(&dry("[]")), told([false, false]));
    assert_eq!(reports(&dry("[{metricName: latency}]")), told([true, false]));
    assert_eq!(reports(&dry("[{metricName: '.*'}]")), told([true, true]));
}

#[test]
fn a_dry_run_that_means_no_metric_is_named_and_the_checks_stay() {
    let text = dry("[{metricName: errors}, {metricName: 'lat.*'}]");
    assert_eq!(reports(&text), [("latency".to_owned(), false), ("errors".to_owned(), true)]);
    let notes = noted(Format::Argo, &text, "AnalysisTemplate u spec.dryRun[1].metricName");
    assert_eq!(
        notes,
        [
            "(lat.*) was left out: no metric of the analysis is called that, and of patterns only `.*` is read, so what it means is \
             judged; write the name of each metric"
        ]
    );
}

#[test]
fn a_condition_that_data_alone_fulfils_is_no_rule() {
    let told = |condition: &str| {
        let run = "{analysis: {templates: [{templateName: t}]}, steps: [{setWeight: 10}]}";
        let metric = format!(
            "[{{name: a, successCondition: '{condition}', provider: {{prometheus: {{query: 'max(a{{}})'}}}}}}]"
        );
        noted(Format::Argo, &rollout(run, &metric), "AnalysisTemplate t spec.metrics[0].successCondition").concat()
    };
    assert!(told("len(result) > 0 || result[0] >= 0.95").contains("was left out: it is no comparison"));
    assert!(told("len(result) > 0 && result[0] >= 0.95").contains("says what no data means"));
}

#[test]
fn a_threshold_beside_a_range_is_named() {
    let text = canary("{stepWeight: 10, metrics: [{name: request-duration, threshold: 9, thresholdRange: {max: 5}}]}");
    let notes = noted(Format::Flagger, &text, "spec.analysis.metrics[0].threshold");
    assert_eq!(notes, ["(9) is not looked at beside `thresholdRange`, there as here"]);
}

#[test]
fn a_query_beside_a_template_is_named() {
    let text = canary(
        "{stepWeight: 10, metrics: [{name: a, query: 'sum(up{})', templateRef: {name: b}, threshold: 1}]}",
    ) + "\n---\nkind: MetricTemplate\nmetadata: {name: b}\nspec: {provider: {type: prometheus}, query: 'max(b{})'}";
    let notes = noted(Format::Flagger, &text, "spec.analysis.metrics[0].query");
    assert_eq!(
        notes,
        [
            "(sum(up{})) was left out: beside it `templateRef` counts here, and Flagger asks both; write a metric of its own for it"
        ]
    );
}

#[test]
fn a_deadline_becomes_a_term_only_where_something_is_judged() {
    let told = |more: &str| {
        let text = format!("kind: Canary\nmetadata: {{name: x}}\nspec: {{progressDeadlineSeconds: 900, {more}}}");
        let notes = noted(Format::Flagger, &text, "spec.progressDeadlineSeconds");
        let is_written = imported(Format::Flagger, &[&text]).unwrap().text.contains("inconclusive_budget");
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        (note.split(';').next().unwrap().to_owned(), is_written)
    };
    let became = "(15m) became how long a step may take in all until it is decided".to_owned();
    let idle = "(15m) has no use here, because nothing is judged".to_owned();
    let judged = "analysis: {stepWeight: 10, metrics: [{name: request-success-rate, threshold: 99}]}";
    assert_eq!(told(judged), (became, true));
    assert_eq!(told(&format!("skipAnalysis: true, {judged}")), (idle.clone(), false));
    assert_eq!(told("analysis: {stepWeight: 10, metrics: [{name: nothing}]}"), (idle, false));
}
