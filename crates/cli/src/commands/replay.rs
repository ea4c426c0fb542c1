//! `tidegate replay`: every verdict computed again from the ledger, or what another policy would have said.

use anyhow::{Context as _, ensure};
use judge::{Decision, Resolved, Tick, Verdict, deciding, render, replay};
use proto::http::RolloutView;
use serde_json::json;

use crate::arguments::{Output, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::lint;
use crate::screen::{Screen, Table, Tone};
use crate::words::{lasting, plain, word};

/// What a ledger comes to, and what was said at the time.
struct Replayed {
    resolved: Resolved,
    verdicts: Vec<Verdict>,
    ticks: Vec<Tick>,
}

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    (which, policy): (&Which, Option<&str>),
    output: Output,
) -> anyhow::Result<Exit> {
    let rollout = client.rollout(which.which.as_str()).await?;
    let said = rollout.plan.checks.clone().context("nothing of this rollout is judged")?;
    let (hour, ticks) = ledger(client, &rollout).await?;
    ensure!(!ticks.is_empty(), "the ledger of {} is empty: nothing was judged yet, or it was cleared away", rollout.id);
    let other = policy.map(|policy| judged_by(policy, &said)).transpose()?;
    let is_other = other.is_some();
    let resolved = other.unwrap_or(said);
    let verdicts: Vec<Verdict> = replay(&resolved, &hour, &ticks).collect();
    let replayed = Replayed { resolved, verdicts, ticks };
    let compared = rollout.verdict.as_ref().filter(|_| !is_other);
    let differs = compared.and_then(|said| difference(said, &replayed));
    if output == Output::Json {
        screen.json(&json!({ "rollout_id": rollout.id, "differs": differs, "verdicts": replayed.verdicts }))?;
        return Ok(if differs.is_some() { Exit::Failed } else { Exit::Done });
    }
    screen.line(table(&replayed))?;
    screen.line(end(&rollout, &replayed, is_other))?;
    match &differs {
        _ if is_other => {}
        None if compared.is_none() => {
            screen.line("nothing was said since the step began, so there is nothing to compare")?;
        }
        None => screen.line(screen.paint(Tone::Good, "the last verdict is bit for bit the one that was said"))?,
        Some(what) => {
            screen.line(screen.paint(Tone::Bad, &format!("what was said is not what the ledger gives: {what}")))?;
        }
    }
    Ok(if differs.is_some() { Exit::Failed } else { Exit::Done })
}

/// The hour before the rollout by minutes, and its ticks.
async fn ledger(client: &Client, rollout: &RolloutView) -> anyhow::Result<(Vec<Tick>, Vec<Tick>)> {
    let (mut hour, mut ticks) = (Vec::new(), Vec::new());
    for entry in client.ticks(&rollout.id).await? {
        if entry.tick > 0 {
            ticks.push(entry.tick());
            continue;
        }
        let minutes = entry.stable.map(|stable| stable.hour).unwrap_or_default();
        hour.extend(minutes.into_iter().map(|stable| Tick { stable, stable_planned: true, ..Tick::default() }));
    }
    Ok((hour, ticks))
}

/// Another policy's limits and settings over the steps and the ticks that there were.
fn judged_by(policy: &str, said: &Resolved) -> anyhow::Result<Resolved> {
    let plan = lint::plan_of(policy)?;
    let other = plan.checks.with_context(|| format!("{policy} judges nothing"))?;
    Ok(Resolved { steps: said.steps.clone(), ..other }.at_tick(said.tick))
}

/// What the last verdict that was said has and the ledger does not give. What was asked of a metrics store is not the judge's.
fn difference(said: &Verdict, replayed: &Replayed) -> Option<String> {
    let Some(again) = replayed.verdicts.iter().find(|verdict| verdict.tick == said.tick) else {
        return Some(format!("tick {} is missing", said.tick));
    };
    let mut said = said.clone();
    for check in &mut said.checks {
        (check.query, check.trouble) = (None, None);
    }
    let (said, again) = (json!(said), json!(again));
    let field =
        |name: &String| (said[name] != again[name]).then(|| format!("{name}: {} and not {}", again[name], said[name]));
    said.as_object()?.keys().find_map(field)
}

/// One line for each change of the verdict.
fn table(replayed: &Replayed) -> String {
    let mut table = Table::new(["STEP", "TICK", "AFTER", "RESULT", "WHY", "ASKS TO"]);
    let mut before: Option<&Verdict> = None;
    for (verdict, tick) in replayed.verdicts.iter().zip(&replayed.ticks) {
        if before.is_none_or(|before| before.differs(verdict) || before.step != verdict.step) {
            table.row([
                (verdict.step + 1).to_string(),
                verdict.tick.to_string(),
                lasting(tick.elapsed_ms),
                word(&verdict.result),
                verdict.reason.as_ref().map(word).unwrap_or_default(),
                word(&verdict.action),
            ]);
        }
        before = Some(verdict);
    }
    table.text()
}

/// What it came to in the end, and, of another policy, what it would have done.
fn end(rollout: &RolloutView, replayed: &Replayed, is_other: bool) -> String {
    let turned = replayed.verdicts.iter().find(|verdict| matches!(verdict.action, Decision::Rollback | Decision::Gate));
    let count = replayed.verdicts.len();
    let Some(verdict) = turned else {
        let would = if is_other { "it would not have turned back" } else { "it never turned back" };
        return format!("{count} ticks: {would}; the rollout is {}", rollout.stage);
    };
    let issues = render(&replayed.resolved, verdict);
    let why = deciding(verdict, &issues).map(|issue| format!(": {}", plain(issue))).unwrap_or_default();
    let would = if is_other { "it would have asked" } else { "it asked" };
    format!(
        "{count} ticks: in step {}, tick {}, {would} to {}{why}",
        verdict.step + 1,
        verdict.tick,
        word(&verdict.action)
    )
}
