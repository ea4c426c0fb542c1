//! `analysis.run`: opens an analysis, takes an open one over into another step, or answers with its latest verdict.

use chassis::{Commit, Failure, Incoming};
use std::collections::BTreeMap;

use judge::signal::add_signal;
use judge::{Caps, Signals, Tick, seed};
use proto::AnalysisRun;
use proto::http::LedgerEntry;
use rollout::At;
use store::{Change, Rows, TickRow};

use crate::analysis::{Analysis, Memory, Request};
use crate::hour::HOUR;
use crate::observed::API;
use crate::tick::readings;

pub(crate) async fn opened(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    (run, past): (&AnalysisRun, &BTreeMap<At, Signals>),
    now: At,
) -> Result<Commit, Failure> {
    let commit = Commit::applied().about(&run.rollout_id);
    let Some(row) = rows.judge(&run.rollout_id).await? else {
        let (mut analysis, hour) = fresh(rows, incoming, (run, past)).await?;
        let wake_at = entered(rows, &mut analysis, now).await?;
        let row = Box::new(analysis.row(Some(wake_at))?);
        return Ok(hour.into_iter().fold(
            commit.wake(&run.rollout_id, row.tick, row.wake_at).change(Change::Judge { row, from: None }),
            |commit, hour| commit.change(Change::Tick(Box::new(hour))),
        ));
    };
    let mut analysis = Analysis::of(&row)?;
    if run.attempt < row.attempt {
        return Ok(Commit::refused("older_attempt").about(&run.rollout_id));
    }
    if run.attempt == row.attempt {
        return Ok(match &analysis.verdict {
            Some(verdict) => commit.say(format!("an.{}.0", incoming.id), analysis.reached(verdict)),
            None => commit,
        });
    }
    analysis.request = Request { message_id: incoming.id.clone(), run: run.clone() };
    // What was said about another step or before a pause is no answer to this request.
    analysis.verdict = None;
    let wake_at = entered(rows, &mut analysis, now).await?;
    let from = Some((row.attempt, row.tick));
    let row = Box::new(analysis.row(Some(wake_at))?);
    Ok(commit.wake(&run.rollout_id, row.tick, row.wake_at).change(Change::Judge { row, from }))
}

/// The step's first tick; samples from before its split was read back are no evidence.
async fn entered(rows: &mut Rows<'_>, analysis: &mut Analysis, now: At) -> Result<At, Failure> {
    let (is_planned, applied_at, tick_ms) =
        (analysis.stable_is_planned(), analysis.request.run.applied_at, analysis.tick_ms());
    let run = &analysis.request.run;
    let mut posted = rows.observations(&run.tenant, &run.model).await?;
    posted.retain(|row| row.source == API);
    let begun = readings(analysis, posted)?;
    analysis.memory.scrapes.enter_step(applied_at.0, is_planned);
    let collector = &mut analysis.memory.collector;
    collector.enter_step(applied_at.0);
    collector.plan_stable(is_planned);
    if !collector.knows(API) {
        collector.hear(&begun, now.0.max(applied_at.0), tick_ms);
    }
    Ok(analysis.next_end(now))
}

/// An analysis that begins with the baseline: what the stable arm did in the hour before the rollout. That is tick 0 of the ledger.
async fn fresh(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    (run, past): (&AnalysisRun, &BTreeMap<At, Signals>),
) -> Result<(Analysis, Option<TickRow>), Failure> {
    let mut minutes = past.clone();
    if let Some(stable) = &run.stable {
        let since = run.applied_at.plus_ms(-HOUR.ms());
        for row in rows.baselines((&run.tenant, &run.model, stable), since).await? {
            let counted: Signals =
                serde_json::from_value(row.signals).map_err(|cause| Failure::never("bad_state", cause))?;
            let minute = minutes.entry(row.minute).or_default();
            for (name, signal) in &counted {
                add_signal(minute, name, signal);
            }
        }
    }
    let hour: Vec<Tick> =
        minutes.into_values().map(|stable| Tick { stable, stable_planned: true, ..Tick::default() }).collect();
    let memory = Memory::new(seed(&run.checks, &hour), Caps::of(&run.checks, &hour));
    let hour = LedgerEntry { hour: hour.into_iter().map(|minute| minute.stable).collect(), ..LedgerEntry::default() };
    let row = serde_json::to_value(&hour).map_err(|cause| Failure::never("bad_state", cause))?;
    let is_known = !hour.hour.is_empty();
    let hour = is_known.then(|| TickRow { rollout_id: run.rollout_id.clone(), arm: "stable", tick: 0, row });
    let analysis = Analysis {
        request: Request { message_id: incoming.id.clone(), run: run.clone() },
        memory,
        verdict: None,
        tick: 0,
    };
    Ok((analysis, hour))
}
