//! `tidegate lint`: a policy without a server. Every problem at once, as `file:line:column: field: what is wrong`.

use std::path::Path;

use anyhow::{Context as _, bail};
use rollout::{Policy, PolicyError, Problem};
use serde_json::json;

use crate::arguments::Output;
use crate::exit::Exit;
use crate::screen::{Screen, Table, Tone};
use crate::words::grouped;

pub(crate) fn run(screen: Screen, policy: &str, resolved: bool, output: Output) -> anyhow::Result<Exit> {
    let text = text_of(policy)?;
    let read = Policy::from_yaml(&text);
    if output == Output::Json {
        screen.json(&report(&read)?)?;
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

fn report(read: &Result<Policy, PolicyError>) -> anyhow::Result<serde_json::Value> {
    Ok(match read {
        Ok(policy) => {
            json!({ "good": true, "problems": [], "notes": policy.plan()?.notes, "resolved": policy.table()? })
        }
        Err(error) => json!({ "good": false, "problems": error.problems }),
    })
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
