//! `tidegate lint`: a policy without a server. Every problem at once, as `file:line:column: field: what is wrong`.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use rollout::{Plan, Policy, PolicyError, Problem};
use serde_json::json;
use simulate::{Need, Traffic, needs};

use crate::arguments::{Assumed, Output};
use crate::exit::Exit;
use crate::screen::{Screen, Table, Tone};
use crate::words::{grouped, lasting, number};

pub(crate) fn run(
    screen: Screen,
    (policy, assumed): (&str, &Assumed),
    resolved: bool,
    output: Output,
) -> anyhow::Result<Exit> {
    let text = text_of(policy)?;
    let read = Policy::from_yaml(&text);
    if output == Output::Json {
        screen.json(&report(&read, assumed)?)?;
        return Ok(if read.is_ok() { Exit::Done } else { Exit::Failed });
    }
    match read {
        Ok(read) => {
            if resolved {
                screen.line(resolved_table(&read)?)?;
                screen.line("")?;
            }
            screen.line(screen.paint(Tone::Good, &summary(policy, &read)?))?;
            for note in grouped(&read.plan()?.notes) {
                screen.line(format!("note: {note}"))?;
            }
            for warning in warnings(&read, assumed)? {
                screen.line(screen.paint(Tone::Careful, &format!("warning: {warning}")))?;
            }
            Ok(Exit::Done)
        }
        Err(error) => {
            for problem in &error.problems {
                screen.line(told(policy, problem))?;
            }
            let count = error.problems.len();
            screen.line(screen.paint(Tone::Bad, &format!("{policy}: refused, {count} problem{}", plural(count))))?;
            Ok(Exit::Failed)
        }
    }
}

/// What will not work with the traffic that is expected, if anybody said what that is.
fn warnings(policy: &Policy, assumed: &Assumed) -> anyhow::Result<Vec<String>> {
    if assumed.rate.is_none() {
        return Ok(Vec::new());
    }
    Ok(too_slow(&policy.plan()?, &assumed.traffic(0.0).map_err(anyhow::Error::msg)?))
}

/// The steps that can't be decided in their time with this traffic, each with the rule that takes longest.
fn too_slow(plan: &Plan, traffic: &Traffic) -> Vec<String> {
    let needs = needs(plan, traffic);
    let slowest = |at: usize| {
        let of_step = needs.iter().filter(|need| need.step == at);
        of_step.max_by(|a, b| a.seconds.total_cmp(&b.seconds)).filter(|need| !need.is_decidable())
    };
    let rate = |step: usize| {
        let share = f64::from(plan.steps[step].split.candidates().basis_points()) / f64::from(rollout::WHOLE);
        number(traffic.requests_per_second * share)
    };
    let told = |need: &Need| {
        let name = &plan.steps[need.step].name;
        if !need.requests.is_finite() {
            return format!(
                "step {} \"{name}\": {} can't be proved healthy with such answers",
                need.step + 1,
                need.metric
            );
        }
        #[expect(clippy::cast_possible_truncation, reason = "seconds")]
        let time = |seconds: f64| lasting((seconds * 1000.0) as i64);
        let (needed, has) = (time(need.seconds), time(need.available.0));
        let late = if need.is_decidable_late() {
            "it takes its extension"
        } else {
            "write a longer dwell, or send more traffic"
        };
        let requests = need.requests;
        format!(
            "step {} \"{name}\": {} needs about {requests:.0} candidate requests; at {}/s that is {needed}, and it has {has} ({late})",
            need.step + 1,
            need.metric,
            rate(need.step)
        )
    };
    (0..plan.steps.len()).filter_map(slowest).map(told).collect()
}

/// The plan of a policy that is good; what is wrong with it otherwise.
pub(crate) fn plan_of(policy: &str) -> anyhow::Result<Plan> {
    Ok(policy_of(policy)?.plan()?)
}

/// A policy that is good; what is wrong with it otherwise.
pub(crate) fn policy_of(policy: &str) -> anyhow::Result<Policy> {
    Policy::from_yaml(&text_of(policy)?).map_err(|error| {
        let problems: Vec<String> = error.problems.iter().map(|problem| told(policy, problem)).collect();
        anyhow!("{}", problems.join("\n"))
    })
}

/// Every number that applies and where it came from.
pub(crate) fn resolved_table(policy: &Policy) -> anyhow::Result<String> {
    let mut table = Table::new(["FIELD", "VALUE", "FROM"]);
    for row in policy.table()? {
        table.row([row.what, row.value, row.from.to_string()]);
    }
    Ok(table.text())
}

fn text_of(policy: &str) -> anyhow::Result<String> {
    let path = Path::new(policy);
    if path.is_file() {
        return std::fs::read_to_string(path).with_context(|| format!("can't read {policy}"));
    }
    match Policy::preset(policy) {
        Some(text) => Ok(text.to_owned()),
        None => bail!(
            "there is no file {policy} and no preset of that name; the presets are {}",
            Policy::PRESETS.join(", ")
        ),
    }
}

fn told(policy: &str, problem: &Problem) -> String {
    let place =
        [problem.line, problem.column].into_iter().flatten().map(|number| format!(":{number}")).collect::<String>();
    let field = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    format!("{policy}{place}: {field}{}", problem.message)
}

fn summary(name: &str, policy: &Policy) -> anyhow::Result<String> {
    let plan = policy.plan()?;
    let (steps, checks) = (plan.steps.len(), plan.checks.as_ref().map_or(0, |resolved| resolved.checks.len()));
    Ok(format!("{name}: good, {steps} step{} and {checks} check{}", plural(steps), plural(checks)))
}

fn report(read: &Result<Policy, PolicyError>, assumed: &Assumed) -> anyhow::Result<serde_json::Value> {
    Ok(match read {
        Ok(policy) => {
            json!({ "good": true, "problems": [], "notes": policy.plan()?.notes, "warnings": warnings(policy, assumed)?, "resolved": policy.table()? })
        }
        Err(error) => json!({ "good": false, "problems": error.problems }),
    })
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
