//! What routers count and what callers post. Samples are cumulative since their source's start, so a lost one costs nothing.

use std::collections::BTreeMap;

use chassis::{Commit, Failure};
use judge::signal::add_signal;
use judge::{Arm, Collector, Reading, Signal, SignalName, Signals, Spread};
use proto::{Exposed, OutcomeObserved, RequestsCounted, Sampled};
use rollout::{At, RolloutId};
use serde::{Deserialize, Serialize};
use store::{BaselineRow, Change, ObservationRow, Rows};

use crate::analysis::Analysis;

const MINUTE: i64 = 60_000;
/// Names of posted metrics that are kept for a version: the row is written with each post.
const METRICS_MAX: usize = 64;
/// The one source of posted outcomes.
pub(crate) const API: &str = "api";

/// A source's cumulative counts for one version, as they are stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) by_request_id: u64,
    pub(crate) signals: Signals,
    /// Observed values by size.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) spreads: BTreeMap<String, Spread>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exposed: Option<Exposed>,
}

/// A router's sample: all arms of a model, taken at the same moment.
pub(crate) async fn counted(rows: &mut Rows<'_>, sample: &RequestsCounted) -> Result<Commit, Failure> {
    let there = if sample.live { Vec::new() } else { rows.observations(&sample.tenant, &sample.model).await? };
    let mut commit = if sample.live { heard(rows, sample).await? } else { Commit::applied() };
    for arm in &sample.arms {
        let last = there.iter().find(|row| row.version == arm.version && row.source == sample.router);
        if let Some(last) = last {
            commit = minute(commit, rows, (sample, arm), last).await?;
        }
        let counted = Counted {
            requests: arm.requests,
            by_request_id: arm.by_request_id,
            signals: arm.signals.clone(),
            spreads: arm.spreads.clone(),
            exposed: arm.exposed.clone(),
        };
        commit = commit.change(Change::Observe(Box::new(ObservationRow {
            tenant: sample.tenant.clone(),
            model: sample.model.clone(),
            version: arm.version.clone(),
            source: sample.router.clone(),
            generation: sample.generation,
            started_at: sample.started_at,
            sampled_at: sample.sampled_at,
            series: serde_json::to_value(&counted).map_err(|cause| Failure::never("bad_sample", cause))?,
        })));
    }
    Ok(commit)
}

/// The first sample that a router takes in a step is heard at once, not at the tick's end: it is what the step's counts begin at.
async fn heard(rows: &mut Rows<'_>, sample: &RequestsCounted) -> Result<Commit, Failure> {
    let nobody = RolloutId::of("", "");
    let Some((id, _)) = rows.live(&sample.tenant, &sample.model, &nobody).await? else { return Ok(Commit::applied()) };
    let Some(row) = rows.judge(&id).await?.filter(|row| row.wake_at.is_some()) else { return Ok(Commit::applied()) };
    let mut analysis = Analysis::of(&row)?;
    if sample.sampled_at < analysis.request.run.applied_at || analysis.memory.collector.knows(&sample.router) {
        return Ok(Commit::applied());
    }
    let readings: Vec<Reading> = sample
        .arms
        .iter()
        .filter_map(|arm| {
            let (source, signals) = (sample.router.clone(), analysis.signals(arm.signals.clone(), &arm.spreads));
            Some(Reading {
                source,
                arm: analysis.arm(&arm.version)?,
                sampled_at_ms: sample.sampled_at.0,
                started_at_ms: sample.started_at.0,
                signals,
            })
        })
        .collect();
    let tick_ms = analysis.tick_ms();
    analysis.memory.collector.hear(&readings, sample.sampled_at.0, tick_ms);
    let row = Change::Judge { row: Box::new(analysis.row(row.wake_at)?), from: Some((row.attempt, row.tick)) };
    Ok(Commit::applied().about(&id).change(row))
}

/// Between rollouts the active version's minutes are kept: the baseline.
async fn minute(
    commit: Commit,
    rows: &mut Rows<'_>,
    (sample, arm): (&RequestsCounted, &Sampled),
    last: &ObservationRow,
) -> Result<Commit, Failure> {
    let before: Counted =
        serde_json::from_value(last.series.clone()).map_err(|cause| Failure::never("bad_state", cause))?;
    let mut signals = increments(sample, arm, (last.sampled_at, before.signals));
    if signals.is_empty() {
        return Ok(commit);
    }
    let minute = At(sample.sampled_at.0.div_euclid(MINUTE) * MINUTE);
    let there = rows.baselines((&sample.tenant, &sample.model, &arm.version), minute).await?;
    for row in there.into_iter().filter(|row| row.minute == minute) {
        let more: Signals = serde_json::from_value(row.signals).map_err(|cause| Failure::never("bad_state", cause))?;
        for (name, signal) in &more {
            add_signal(&mut signals, name, signal);
        }
    }
    Ok(commit.change(Change::Baseline(Box::new(BaselineRow {
        tenant: sample.tenant.clone(),
        model: sample.model.clone(),
        version: arm.version.clone(),
        minute,
        signals: serde_json::to_value(&signals).map_err(|cause| Failure::never("bad_sample", cause))?,
    }))))
}

/// What came since the last sample, by the rules that ticks are made with: resets, gaps and duplicates included.
fn increments(sample: &RequestsCounted, arm: &Sampled, last: (At, Signals)) -> Signals {
    let mut collector = Collector::new();
    collector.enter_step(last.0.0);
    collector.plan_stable(false);
    let reading = |sampled_at: At, signals| Reading {
        source: sample.router.clone(),
        arm: Arm::Candidate,
        sampled_at_ms: sampled_at.0,
        started_at_ms: sample.started_at.0,
        signals,
    };
    collector.close(&[reading(last.0, last.1)], last.0.0, MINUTE);
    collector.close(&[reading(sample.sampled_at, arm.signals.clone())], sample.sampled_at.0, MINUTE).candidate
}

/// Posted outcomes are added up into one cumulative source, by arrival.
pub(crate) async fn posted(rows: &mut Rows<'_>, posted: &OutcomeObserved, now: At) -> Result<Commit, Failure> {
    let mut there: Vec<_> =
        rows.observations(&posted.tenant, &posted.model).await?.into_iter().filter(|row| row.source == API).collect();
    for outcome in &posted.outcomes {
        let row = match there.iter().position(|row| row.version == outcome.version) {
            Some(index) => &mut there[index],
            None => {
                there.push(empty(posted, &outcome.version, now)?);
                there.last_mut().expect("one was pushed just now")
            }
        };
        let mut counted: Counted =
            serde_json::from_value(row.series.clone()).map_err(|cause| Failure::never("bad_state", cause))?;
        let value = Signal::Mean { n: 1.0, s1: outcome.value, s2: outcome.value * outcome.value, cap: None };
        if !value.is_sound() {
            return Err(Failure::never(
                "bad_payload",
                format!("{} is not a number that can be counted", outcome.value),
            ));
        }
        let name = SignalName::observation(&outcome.metric);
        if counted.signals.len() >= METRICS_MAX && !counted.signals.contains_key(&name) {
            tracing::warn!(model = %posted.model, "left out metric {}: {METRICS_MAX} are counted already", outcome.metric);
            continue;
        }
        add_signal(&mut counted.signals, &name, &value);
        counted.spreads.entry(outcome.metric.clone()).or_default().observe(outcome.value);
        counted.requests += 1;
        row.series = serde_json::to_value(&counted).map_err(|cause| Failure::never("bad_sample", cause))?;
        // Two posts within a millisecond must both count: a sample is only taken forward in time.
        row.sampled_at = now.max(row.sampled_at.plus_ms(1));
    }
    Ok(there.into_iter().fold(Commit::applied(), |commit, row| commit.change(Change::Observe(Box::new(row)))))
}

fn empty(posted: &OutcomeObserved, version: &rollout::Version, now: At) -> Result<ObservationRow, Failure> {
    Ok(ObservationRow {
        tenant: posted.tenant.clone(),
        model: posted.model.clone(),
        version: version.clone(),
        source: API.to_owned(),
        generation: 0,
        started_at: now,
        sampled_at: now.plus_ms(-1),
        series: serde_json::to_value(Counted::default()).map_err(|cause| Failure::never("bad_sample", cause))?,
    })
}
