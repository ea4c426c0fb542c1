//! A policy as a `Canary`, with a `MetricTemplate` for each query.

use judge::Span;
use rollout::{Plan, Share};

use super::bounds::{Bounded, bounded, longest};
use super::expression::{Expression, Source};
use super::rows::Rows;
use super::{Naming, Target, block, head, metadata, short};
use crate::draft::quoted;
use crate::note::Note;

const DURATION: &str = "became request-duration, which is a p99 with most meshes and a mean with nginx and skipper";

/// What is different there whatever a policy says.
const ANYWAY: [(&str, &str); 2] = [
    ("checks", "what has no data holds the rollout here; there it is a failed check and counts"),
    (
        "strategy",
        "a target that Flagger sees for the first time is promoted without any check: keep one Canary for a model, and change \
         its workload",
    ),
];

pub(super) fn write(plan: &Plan, naming: &Naming, rows: &mut Rows, notes: &mut Vec<Note>) -> String {
    let bounded = bounded(plan, Target::Flagger, rows, notes);
    let target = format!(
        "  # Fill in: the workload whose pods serve the model.\n  targetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {}\n",
        quoted(&naming.name)
    );
    let mut text = head("flagger", plan.policy.as_str());
    text +=
        &format!("apiVersion: flagger.app/v1beta1\nkind: Canary\n{}spec:\n{target}", metadata(naming, &naming.name));
    text += &deadline(plan, rows);
    text += &format!("  service:\n    port: {}\n", naming.port);
    if bounded.is_empty() && plan.steps.len() == 1 {
        text += "  skipAnalysis: true\n";
        rows.take_all("steps");
        return text;
    }
    rows.take_if("on_inconclusive", "rollback");
    notes.extend(ANYWAY.map(|(path, text)| Note { path: path.to_owned(), text: text.to_owned() }));
    let interval = longest(plan);
    text += &format!(
        "  analysis:\n    interval: {}\n    threshold: {}\n",
        short(interval),
        threshold(&bounded, rows, notes)
    );
    text += &weights(plan, interval, rows, notes);
    let mut templates = String::new();
    if !bounded.is_empty() {
        text += "    metrics:\n";
    }
    for one in &bounded {
        rows.take_if(&format!("{}.interval", one.path), &interval.to_string());
        rows.take(&format!("{}.window", one.path));
        let (metric, template) = metric(one, naming, notes);
        text += &metric;
        templates += &template;
    }
    text + &gates(plan, rows, notes) + &templates
}

/// How long a step may take in all.
fn deadline(plan: &Plan, rows: &mut Rows) -> String {
    let judged: Vec<_> = plan.steps.iter().enumerate().filter(|(_, step)| step.judged).collect();
    judged.iter().for_each(|(at, _)| rows.take(&format!("steps[{at}].inconclusive_budget")));
    let budget = judged.iter().map(|(_, step)| step.budget.0).max();
    let seconds = budget.map(|budget| longest(plan).0.saturating_add(budget) / 1000);
    seconds.map(|seconds| format!("  progressDeadlineSeconds: {seconds}\n")).unwrap_or_default()
}

/// Failed looks of all checks together: the fewest that any of them bears.
fn threshold(bounded: &[Bounded<'_>], rows: &mut Rows, notes: &mut Vec<Note>) -> u32 {
    let of_check = |one: &'_ Bounded<'_>| {
        let path = one.path.clone();
        let rules = one.check.rules.clone().into_iter().enumerate();
        rules.map(move |(at, rule)| (format!("{path}.rules[{at}]"), rule))
    };
    let rules: Vec<_> = bounded.iter().flat_map(of_check).filter(|(_, rule)| !rule.comparator.is_relative()).collect();
    let least = rules.iter().map(|(_, rule)| rule.failure_limit).min().unwrap_or(1);
    let is_one = rules.windows(2).all(|pair| pair[0].1.counter == pair[1].1.counter);
    if !is_one && least > 1 {
        let text =
            format!("are counted apart here; there all count together, and {least} failures of any of them are enough");
        notes.push(Note { path: "checks".to_owned(), text });
    }
    for (path, rule) in rules {
        rows.take(&format!("{path}.failure_group"));
        if rule.failure_limit > least {
            rows.take(&format!("{path}.failure_limit"));
            let text =
                format!("({}) became {least}, the fewest of all: there all checks count together", rule.failure_limit);
            notes.push(Note { path: format!("{path}.failure_limit"), text });
        }
    }
    least
}

/// The weights below everything: evenly, if they are so, and one by one otherwise.
fn weights(plan: &Plan, interval: Span, rows: &mut Rows, notes: &mut Vec<Note>) -> String {
    let mut weights: Vec<u32> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let (share, path) = (step.split.candidates(), format!("steps[{at}]"));
        let mut note = |field: &str, text: String| notes.push(Note { path: format!("{path}.{field}"), text });
        let weight = (share.basis_points() / 100).max(1);
        if !share.basis_points().is_multiple_of(100) {
            note("split", format!("({share}) became {weight}: weights are whole there"));
        }
        let is_open = share < Share::WHOLE || step.dwell.0 > 0;
        if is_open && step.dwell != interval {
            note(
                "dwell",
                format!(
                    "({}) became {}, the longest of all: there each step takes one interval",
                    step.dwell,
                    short(interval)
                ),
            );
        }
        if weights.contains(&weight) {
            note("split", format!("({share}) is not there twice: a weight has one step"));
        } else if is_open {
            weights.push(weight);
        }
        rows.take(&format!("{path}.split"));
        rows.take(&format!("{path}.dwell"));
    }
    let first = weights.first().copied().unwrap_or(100);
    let is_even = weights.iter().zip(1..).all(|(weight, at)| *weight == first * at);
    let last = weights.last().copied().unwrap_or(100);
    match (is_even, weights.len()) {
        // One more look is taken at everything then, as the example of its documentation has it.
        (true, 2..) if last + first == 100 => format!("    stepWeight: {first}\n    maxWeight: 100\n"),
        (true, 2..) => format!("    stepWeight: {first}\n    maxWeight: {last}\n"),
        (_, 0) => "    stepWeights: [100]\n".to_owned(),
        _ => format!("    stepWeights: {weights:?}\n"),
    }
}

/// A metric, and the template that it needs.
fn metric(one: &Bounded<'_>, naming: &Naming, notes: &mut Vec<Note>) -> (String, String) {
    let direct = (one.low.map(|bound| bound.limit), one.high.map(|bound| bound.limit));
    let interval = short(one.window);
    match &one.source {
        Source::Successes | Source::Failures => {
            (entry("request-success-rate", one.of_successes(), &interval, ""), String::new())
        }
        Source::Latency(percent) => {
            let stricter = if *percent < 99 { ", so it is stricter or laxer than it was" } else { "" };
            let text = format!("({}) {DURATION}{stricter}", one.check.metric);
            notes.push(Note { path: format!("{}.metric", one.path), text });
            (entry("request-duration", direct, &interval, ""), String::new())
        }
        Source::Query(expression) => {
            let name = format!("{}-{}", naming.name, one.check.metric.replace('_', "-"));
            let (query, used) = query(expression);
            let variables: String = used.iter().map(|name| format!("          {name}: fill-in\n")).collect();
            let variables = if variables.is_empty() {
                variables
            } else {
                format!("        # Fill in: what is meant there.\n        templateVariables:\n{variables}")
            };
            let more = format!("        templateRef:\n          name: {}\n{variables}", quoted(&name));
            (entry(&one.check.metric, direct, &interval, &more), template(&name, &query, naming))
        }
    }
}

fn entry(name: &str, (min, max): (Option<f64>, Option<f64>), interval: &str, more: &str) -> String {
    let limit =
        |word: &str, limit: Option<f64>| limit.map(|limit| format!("          {word}: {limit}\n")).unwrap_or_default();
    let range = limit("min", min) + &limit("max", max);
    format!("      - name: {}\n{more}        thresholdRange:\n{range}        interval: {interval}\n", quoted(name))
}

fn query(expression: &Expression) -> (String, Vec<&'static str>) {
    expression.written("{{ interval }}", |name| format!("{{{{ variables.{name} }}}}"))
}

fn template(name: &str, query: &str, naming: &Naming) -> String {
    let provider = "  provider:\n    type: prometheus\n    # Fill in: where Prometheus is.\n    address: http://prometheus.monitoring:9090\n";
    let query = block(query, "    ");
    let metadata = metadata(naming, name);
    format!(
        "---\napiVersion: flagger.app/v1beta1\nkind: MetricTemplate\n{metadata}spec:\n{provider}  query: |\n{query}"
    )
}

/// Gates before the first step, the last one or each; others have no equal.
fn gates(plan: &Plan, rows: &mut Rows, notes: &mut Vec<Note>) -> String {
    let (last, mut hooks) = (plan.steps.len().saturating_sub(1), Vec::new());
    if plan.steps.iter().all(|step| step.gate.is_some()) {
        hooks.push("confirm-traffic-increase");
    } else {
        for (at, _) in plan.steps.iter().enumerate().filter(|(_, step)| step.gate.is_some()) {
            match at {
                0 => hooks.push("confirm-rollout"),
                _ if at == last => hooks.push("confirm-promotion"),
                _ => {
                    let text = "has no equal, so it was left out: Flagger asks before the first step, before the promotion, or before each";
                    rows.take(&format!("steps[{at}].gate"));
                    notes.push(Note { path: format!("steps[{at}].gate"), text: text.to_owned() });
                }
            }
        }
    }
    let hook = |kind| {
        format!(
            "      - name: {kind}\n        type: {kind}\n        # Fill in: what answers 200 when a person has said yes.\n        url: http://gate.invalid/open\n"
        )
    };
    let hooks: String = hooks.into_iter().map(hook).collect();
    if hooks.is_empty() { hooks } else { format!("    webhooks:\n{hooks}") }
}
