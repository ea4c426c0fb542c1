//! A policy as a `Rollout`, with one `AnalysisTemplate` that runs beside its steps.
//!
//! Each metric says when it succeeds and when it fails. So what is no number is neither, and the rollout waits for a person: what has
//! no data never passes, and takes nobody back.

use std::collections::BTreeSet;

use rollout::{Plan, Share};

use super::bounds::{Bound, Bounded, bounded};
use super::expression::Source;
use super::rows::Rows;
use super::{Naming, Target, block, head, metadata, short};
use crate::draft::{numbered, quoted};
use crate::note::Note;
use judge::check::Action;

const ISTIO: &str =
    "is counted by Tidegate's router here; there Istio's series are asked for it: write those that you have";

pub(super) fn write(plan: &Plan, naming: &Naming, rows: &mut Rows, notes: &mut Vec<Note>) -> String {
    let bounded = bounded(plan, Target::Argo, rows, notes);
    let template = template(&bounded, naming, rows, notes);
    let mut text = head("argo", plan.policy.as_str());
    text += &format!("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n{}", metadata(naming, &naming.name));
    text += &format!(
        "spec:\n  # Fill in: the workload whose pods serve the model.\n  workloadRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {}\n",
        quoted(&naming.name)
    );
    let seconds = plan.prepare_limit.0 / 1000;
    text += &format!("  progressDeadlineSeconds: {seconds}\n  progressDeadlineAbort: true\n");
    rows.take("prepare_limit");
    rows.take_if("on_inconclusive", "gate");
    let (canary, stable) = (format!("{}-canary", naming.name), format!("{}-stable", naming.name));
    text += &format!(
        "  strategy:\n    canary:\n      # Fill in: two Services on port {}, and `trafficRouting`, without which shares are those of pods.\n      \
         canaryService: {}\n      stableService: {}\n",
        naming.port,
        quoted(&canary),
        quoted(&stable)
    );
    if let Some((_, names)) = &template {
        let values = names.iter().map(|name| {
            let value = if *name == "service" { canary.as_str() } else { "fill-in" };
            format!("          - name: {name}\n            value: {}\n", quoted(value))
        });
        let values: String = values.collect();
        let arguments = if values.is_empty() {
            values
        } else {
            format!("        # Fill in: what is meant there.\n        args:\n{values}")
        };
        text += &format!(
            "      analysis:\n        templates:\n          - templateName: {}\n{arguments}",
            quoted(&naming.name)
        );
    }
    text += &steps(plan, rows, notes);
    text + &template.map(|(text, _)| text).unwrap_or_default()
}

fn steps(plan: &Plan, rows: &mut Rows, notes: &mut Vec<Note>) -> String {
    let mut text = "      steps:\n".to_owned();
    for (at, step) in plan.steps.iter().enumerate() {
        let share = step.split.candidates();
        let weight = (share.basis_points() / 100).max(1);
        if !share.basis_points().is_multiple_of(100) {
            let told = format!("({share}) became {weight}: weights are whole there");
            notes.push(Note { path: format!("steps[{at}].split"), text: told });
        }
        if step.gate.is_some() {
            text += "        - pause: {}\n";
        }
        text += &format!("        - setWeight: {weight}\n");
        if step.dwell.0 > 0 || share < Share::WHOLE {
            text += &format!("        - pause: {{duration: {}}}\n", short(step.dwell));
        }
        rows.take(&format!("steps[{at}].split"));
        rows.take(&format!("steps[{at}].dwell"));
    }
    text
}

/// The template of all checks, and the arguments that it wants; none without checks.
fn template(
    bounded: &[Bounded<'_>],
    naming: &Naming,
    rows: &mut Rows,
    notes: &mut Vec<Note>,
) -> Option<(String, Vec<&'static str>)> {
    let (mut metrics, mut names, mut dry) = (String::new(), Vec::new(), String::new());
    let mut taken = BTreeSet::new();
    for one in bounded {
        rows.take(&format!("{}.interval", one.path));
        let (query, used) = query(one, rows, notes);
        names.extend(used);
        for (name, bound, is_above) in limits(one) {
            let name = free(&name, &mut taken);
            metrics += &metric(one, (&name, &query), (bound, is_above));
            if one.check.action == Action::Report {
                // The whole of the name, because a part of another one would make that dry as well.
                dry += &format!("    - metricName: {}\n", quoted(&format!("^{name}$")));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    let declared: String = names.iter().map(|name| format!("    - name: {name}\n")).collect();
    let arguments = if declared.is_empty() { declared } else { format!("  args:\n{declared}") };
    let dry = if dry.is_empty() { dry } else { format!("  dryRun:\n{dry}") };
    let metadata = metadata(naming, &naming.name);
    let text = format!(
        "---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\n{metadata}spec:\n{arguments}{dry}  metrics:\n{metrics}"
    );
    (!bounded.is_empty()).then_some((text, names))
}

/// A metric for each limit, because a condition with two of them is read by nobody.
fn limits(one: &Bounded<'_>) -> Vec<(String, Bound, bool)> {
    let name = &one.check.metric;
    let second = if one.low.is_some() { format!("{name}_high") } else { name.clone() };
    let low = one.low.map(|bound| (name.clone(), bound, false));
    low.into_iter().chain(one.high.map(|bound| (second, bound, true))).collect()
}

/// A name that no metric has yet: a policy may have several checks of one metric, and Argo refuses a name that comes twice.
fn free(name: &str, taken: &mut BTreeSet<String>) -> String {
    let free = numbered(name).find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

fn metric(one: &Bounded<'_>, (name, query): (&str, &str), (bound, is_above): (Bound, bool)) -> String {
    let (fails, succeeds) = match (is_above, bound.is_breach) {
        (true, false) => (">", "<="),
        (true, true) => (">=", "<"),
        (false, false) => ("<", ">="),
        (false, true) => ("<=", ">"),
    };
    let limit = bound.limit;
    format!(
        "    - name: {}\n      interval: {}\n      failureLimit: {}\n      failureCondition: result[0] {fails} {limit}\n      \
         successCondition: result[0] {succeeds} {limit}\n      provider:\n        prometheus:\n          \
         # Fill in: where Prometheus is.\n          address: http://prometheus.monitoring:9090\n          query: |\n{}",
        quoted(name),
        short(one.check.interval),
        one.failures.saturating_sub(1),
        block(query, "            ")
    )
}

/// What Prometheus is asked, and the arguments in it.
fn query(one: &Bounded<'_>, rows: &mut Rows, notes: &mut Vec<Note>) -> (String, Vec<&'static str>) {
    let (path, window) = (&one.path, short(one.window));
    let service = r#"destination_service_name="{{args.service}}""#;
    let share = |matched: &str| {
        format!(
            "sum(rate(istio_requests_total{{{service},response_code{matched}}}[{window}]))\n/\nsum(rate(istio_requests_total{{{service}}}[{window}]))"
        )
    };
    let of_istio = match &one.source {
        Source::Successes => share(r#"!~"5..""#),
        Source::Failures => share(r#"=~"5..""#),
        Source::Latency(percent) => format!(
            "histogram_quantile({}, sum(rate(istio_request_duration_milliseconds_bucket{{{service}}}[{window}])) by (le))",
            f64::from(*percent) / 100.0
        ),
        Source::Query(expression) => {
            if expression.has_window() || one.window == one.check.interval {
                rows.take(&format!("{path}.window"));
            }
            return expression.written(&window, |name| format!("{{{{args.{name}}}}}"));
        }
    };
    rows.take(&format!("{path}.window"));
    notes.push(Note { path: format!("{path}.metric"), text: format!("({}) {ISTIO}", one.check.metric) });
    (of_istio, vec!["service"])
}
