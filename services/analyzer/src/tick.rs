//! A tick that is due: what the sources counted becomes increments, the judge folds them, and all of it is one commit.

use chassis::{Commit, Failure};
use judge::{Collected, Reading, SeriesSignals, Tick, Window};
use proto::Exposed;
use proto::http::{LedgerEntry, LedgerTick};
use rollout::{At, Rollout, Stage};
use serde::Deserialize;
use store::{Change, Due, ObservationRow, Rows, Store, TickRow};

use crate::analysis::Analysis;
use crate::heard::{Heard, hear, troubles};
use crate::observed::{API, Counted};
use crate::source::Source;

/// The ledger's tail, and where the analysis stood when it was read.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stood: Option<(i64, i64)>,
    ticks: Vec<Tick>,
    heard: Heard,
}

/// Reads the ledger's tail for the tick that is due, and asks the source, with no row held meanwhile.
pub(crate) async fn ledger(store: &Store, source: Option<&Source>, due: &Due, now: At) -> Result<Ledger, Failure> {
    let mut reader = store.reader().await?;
    let mut rows = reader.rows();
    let row = rows.judge(&due.rollout_id).await?.filter(|row| row.tick == due.version);
    let Some(row) = row else { return Ok(Ledger::default()) };
    let Some(until) = row.wake_at else { return Ok(Ledger::default()) };
    let analysis = Analysis::of(&row)?;
    let ticks = tail(&mut rows, &analysis, until).await?;
    drop(reader);
    let heard = if until > now { Heard::default() } else { hear(source, &analysis, until).await };
    Ok(Ledger { stood: Some((row.attempt, row.tick)), ticks, heard })
}

pub(crate) async fn closed(rows: &mut Rows<'_>, due: &Due, ledger: &Ledger, now: At) -> Result<Commit, Failure> {
    let Some(row) = rows.judge(&due.rollout_id).await?.filter(|row| row.tick == due.version) else {
        return Ok(Commit::applied());
    };
    if ledger.stood != Some((row.attempt, row.tick)) {
        // It moved since the ledger was read: the deadline comes again.
        return Ok(Commit::applied().wake(&due.rollout_id, row.tick, row.wake_at));
    }
    let Some(until) = row.wake_at else { return Ok(Commit::applied()) };
    if until > now {
        return Ok(Commit::applied().wake(&due.rollout_id, row.tick, row.wake_at));
    }
    let mut analysis = Analysis::of(&row)?;
    let commit = Commit::applied().about(&due.rollout_id);
    let observations = rows.observations(&row.tenant, &row.model).await?;
    expose(&mut analysis, &observations)?;
    let rollout = rows.rollout(&due.rollout_id).await?;
    let Some(rollout) = rollout.filter(|rollout| rollout.attempt == row.attempt && !rollout.stage.is_final()) else {
        // What came after the last tick is still part of whom it has reached.
        let last = Box::new(analysis.row(row.wake_at)?);
        let kept = commit.change(Change::Judge { row: last, from: Some((row.attempt, row.tick)) });
        return Ok(kept.change(Change::JudgeEnded(due.rollout_id.clone())));
    };
    let readings = readings(&analysis, observations)?;
    let tick_ms = analysis.tick_ms();
    let mut collected = analysis.memory.collector.close(&readings, until.0, tick_ms);
    let asked = ledger.heard.take(&mut analysis, until);
    collected.candidate.extend(asked.candidate);
    collected.stable.extend(asked.stable);
    collected.stable_series.extend(asked.stable_series);
    collected.resets.extend(asked.resets);
    analysis.memory.caps.close(&analysis.request.run.checks, &mut collected.candidate, &mut collected.stable);
    let tick = tick(&analysis, &rollout, collected, until);
    let ended = ends_the_dwell(&analysis, &tick);
    let mut ticks = ledger.ticks.clone();
    ticks.push(tick.clone());
    let (state, mut verdict) = judge::judge(&analysis.request.run.checks, analysis.memory.judge, &ticks);
    analysis.memory.judge = state;
    ledger.heard.evidence(&analysis, &mut verdict);
    analysis.tick += 1;
    let is_news = ended || analysis.verdict.as_ref().is_none_or(|last| last.differs(&verdict));
    analysis.verdict = Some(verdict.clone());
    let next = Some(until.plus_ms(tick_ms));
    let judged = Box::new(analysis.row(next)?);
    let mut commit = entries(commit, &analysis, &tick)?
        .change(Change::Judge { row: judged, from: Some((row.attempt, row.tick)) })
        .wake(&due.rollout_id, analysis.tick, next);
    if is_news {
        tracing::info!(rollout.id = %due.rollout_id, attempt = row.attempt, "judged {} of {}: {:?}, {:?}", row.model, due.rollout_id, verdict.result, verdict.action);
        commit =
            commit.say(format!("an.{}.{}", analysis.request.message_id, analysis.tick), analysis.reached(&verdict));
    }
    Ok(commit)
}

/// The latest sample of each source, by the arm that its version is.
pub(crate) fn readings(analysis: &Analysis, observations: Vec<ObservationRow>) -> Result<Vec<Reading>, Failure> {
    let mut readings = Vec::new();
    for observation in observations {
        let Some(arm) = analysis.arm(&observation.version) else { continue };
        let counted: Counted =
            serde_json::from_value(observation.series).map_err(|cause| Failure::never("bad_state", cause))?;
        // Posted outcomes are added up here, so none can be missed: what was there when the step began is where its counts begin.
        let sampled_at = if observation.source == API {
            observation.sampled_at.max(analysis.request.run.applied_at)
        } else {
            observation.sampled_at
        };
        readings.push(Reading {
            source: observation.source,
            arm,
            sampled_at_ms: sampled_at.0,
            started_at_ms: observation.started_at.0,
            signals: analysis.signals(counted.signals, &counted.spreads),
        });
    }
    Ok(readings)
}

/// Adds what the sources have counted for this rollout to whom it has reached.
fn expose(analysis: &mut Analysis, observations: &[ObservationRow]) -> Result<(), Failure> {
    for observation in observations {
        let Some(exposed) = observation.series.get("exposed") else { continue };
        let exposed = Exposed::deserialize(exposed).map_err(|cause| Failure::never("bad_state", cause))?;
        if exposed.rollout_id == analysis.request.run.rollout_id {
            analysis.memory.exposure.hear(&observation.version, &observation.source, &exposed);
        }
    }
    Ok(())
}

fn tick(analysis: &Analysis, rollout: &Rollout, collected: Collected, until: At) -> Tick {
    let run = &analysis.request.run;
    let elapsed_ms = until.ms_since(run.applied_at);
    let paused = if rollout.stage == Stage::Paused { until.ms_since(rollout.entered_at).max(0) } else { 0 };
    Tick {
        step: run.step,
        tick: u64::try_from(analysis.tick + 1).unwrap_or(u64::MAX),
        elapsed_ms,
        held_ms: run.held_ms + paused,
        warmup: elapsed_ms - analysis.tick_ms() < run.checks.step(run.step).warmup.ms(),
        stable_planned: analysis.stable_is_planned(),
        candidate: collected.candidate,
        stable: collected.stable,
        stable_series: collected.stable_series,
        routers: collected.routers,
        resets: collected.resets,
        troubles: troubles(&analysis.memory),
    }
}

/// Whether this is the first tick at or behind the dwell's end: its verdict is said whatever it is.
fn ends_the_dwell(analysis: &Analysis, tick: &Tick) -> bool {
    let end = analysis.request.run.dwell.ms() + tick.held_ms;
    tick.elapsed_ms >= end && tick.elapsed_ms - analysis.tick_ms() < end
}

/// The ledger behind the new tick, as far back as the longest window of the checks, within this step.
async fn tail(rows: &mut Rows<'_>, analysis: &Analysis, until: At) -> Result<Vec<Tick>, Failure> {
    let run = &analysis.request.run;
    let of_step = until.ms_since(run.applied_at) / analysis.tick_ms();
    let wanted = match run.checks.longest_window() {
        None => 0,
        Some(Window::Step) => of_step,
        Some(Window::Last(span)) => of_step.min(span.ms() / analysis.tick_ms() + 1),
    };
    let after = analysis.tick.saturating_sub(wanted).max(0);
    let mut entries = Vec::new();
    for row in rows.ticks(&run.rollout_id, (after, i64::MAX)).await? {
        let entry = serde_json::from_value(row.row).map_err(|cause| Failure::never("bad_state", cause))?;
        entries.push((row.tick, row.arm == "candidate", entry));
    }
    Ok(LedgerTick::gather(entries).into_iter().map(LedgerTick::tick).filter(|tick| tick.step == run.step).collect())
}

fn entries(mut commit: Commit, analysis: &Analysis, tick: &Tick) -> Result<Commit, Failure> {
    let none = SeriesSignals::new();
    let arms = [("candidate", &tick.candidate, &none), ("stable", &tick.stable, &tick.stable_series)];
    for (arm, signals, series) in arms {
        let entry = LedgerEntry {
            step: tick.step,
            elapsed_ms: tick.elapsed_ms,
            held_ms: tick.held_ms,
            warmup: tick.warmup,
            stable_planned: tick.stable_planned,
            routers: tick.routers,
            signals: signals.clone(),
            series: series.clone(),
            resets: tick.resets.clone(),
            troubles: tick.troubles.clone(),
            hour: Vec::new(),
        };
        let row = serde_json::to_value(&entry).map_err(|cause| Failure::never("bad_state", cause))?;
        commit = commit.change(Change::Tick(Box::new(TickRow {
            rollout_id: analysis.request.run.rollout_id.clone(),
            arm,
            tick: analysis.tick,
            row,
        })));
    }
    Ok(commit)
}
