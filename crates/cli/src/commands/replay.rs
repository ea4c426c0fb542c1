//! `tidegate replay`: every verdict computed again from the ledger, or what another policy would have said.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use judge::{Decision, Resolved, Tick, Verdict, deciding, render, replay};
use proto::http::RolloutView;
use proto::{VerdictReached, digest};
use serde_json::json;

use crate::arguments::{Output, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::lint;
use crate::screen::{Screen, Table, Tone};
use crate::words::{lasting, plain, word};

/// What a ledger comes to.
struct Replayed {
    resolved: Resolved,
    verdicts: Vec<Verdict>,
    ticks: Vec<Tick>,
    /// Digests of the judge's state behind the ticks that were asked about.
    states: BTreeMap<u64, String>,
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
    let told = if is_other { Vec::new() } else { told(client, &rollout).await? };
    let (mut verdicts, mut states) = (Vec::new(), BTreeMap::new());
    for (verdict, state) in replay(&resolved, &hour, &ticks) {
        if told.iter().any(|said| said.verdict.tick == verdict.tick) {
            states.insert(verdict.tick, digest(&state));
        }
        verdicts.push(verdict);
    }
    let replayed = Replayed { resolved, verdicts, ticks, states };
    let compared = rollout.verdict.as_ref().filter(|_| !is_other);
    let differs = compared
        .and_then(|said| difference(said, &replayed))
        .or_else(|| told.iter().find_map(|said| tampered(said, &replayed)));
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
        None => {
            let all =
                format!("the last verdict and the {} that were told are bit for bit what the ledger gives", told.len());
            screen.line(screen.paint(Tone::Good, &all))?;
        }
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

/// The verdicts that moved the rollout, or were told to it, as its history keeps them.
async fn told(client: &Client, rollout: &RolloutView) -> anyhow::Result<Vec<VerdictReached>> {
    let history = client.history(&rollout.id).await?;
    let verdicts =
        history.into_iter().filter(|entry| entry.fact == "verdict_reached").filter_map(|entry| entry.evidence);
    let read = |evidence| serde_json::from_value(evidence).context("a verdict in the history can't be read");
    verdicts.map(read).collect()
}

/// What a verdict that was told has and the ledger does not give.
fn tampered(said: &VerdictReached, replayed: &Replayed) -> Option<String> {
    let tick = said.verdict.tick;
    let differs = difference(&said.verdict, replayed).map(|what| format!("tick {tick}: {what}"));
    let replay = said.replay.as_ref();
    let of_policy = replay.filter(|replay| replay.policy_digest != digest(&replayed.resolved));
    let of_state =
        replay.filter(|replay| replayed.states.get(&tick).is_some_and(|state| *state != replay.state_digest));
    differs
        .or_else(|| of_policy.map(|_| format!("tick {tick}: it was judged by another policy than the rollout has")))
        .or_else(|| of_state.map(|_| format!("tick {tick}: the judge's state was another one")))
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
