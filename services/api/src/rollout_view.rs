//! A rollout with what the other services know of it: verdict, applied and observed split, baseline, exposure.

use judge::{Verdict, render};
use proto::http::{Exposure, RolloutView};
use proto::{Exposed, ExposureLedger};
use rollout::Rollout;
use serde::Deserialize as _;
use store::{JudgeRow, Rows};

use crate::problem::Answer;

pub(crate) async fn whole(rows: &mut Rows<'_>, row: &Rollout) -> Answer<RolloutView> {
    let mut view = RolloutView::of(row);
    read_back(rows, row, &mut view).await?;
    view.split.observed = observed(&rows.exposure(&row.id, Some(row.step)).await?);
    let judged = rows.judge(&row.id).await?;
    let ledger = ledger(rows, row, judged.as_ref()).await?;
    view.exposure = exposure(row, rows.exposure(&row.id, None).await?, &ledger);
    view.reached = ledger.reached(&row.candidate);
    if let Some(judged) = judged {
        evidence(&mut view, row, &judged);
    }
    Ok(view)
}

/// What a list shows of a rollout: nothing that takes longer the longer it ran, once it is over.
pub(crate) async fn brief(rows: &mut Rows<'_>, row: &Rollout) -> Answer<RolloutView> {
    let mut view = RolloutView::of(row);
    read_back(rows, row, &mut view).await?;
    if !row.stage.is_final() {
        view.split.observed = observed(&rows.exposure(&row.id, Some(row.step)).await?);
    }
    if let Some(judged) = rows.judge(&row.id).await? {
        evidence(&mut view, row, &judged);
    }
    Ok(view)
}

/// Whom the rollout has reached: what the analyzer has added up, and what routers have said since.
async fn ledger(rows: &mut Rows<'_>, row: &Rollout, judged: Option<&JudgeRow>) -> Answer<ExposureLedger> {
    let kept = judged.and_then(|judged| judged.state.get("exposure"));
    let mut ledger = kept.and_then(|kept| ExposureLedger::deserialize(kept).ok()).unwrap_or_default();
    for observation in rows.observations(&row.tenant, &row.model).await? {
        let exposed = observation.series.get("exposed").and_then(|exposed| Exposed::deserialize(exposed).ok());
        if let Some(exposed) = exposed.filter(|exposed| exposed.rollout_id == row.id) {
            ledger.hear(&observation.version, &observation.source, &exposed);
        }
    }
    Ok(ledger)
}

/// What was last read back from the routers; the end of a rollout was read back too, or it would not be one.
pub(crate) async fn read_back(rows: &mut Rows<'_>, row: &Rollout, view: &mut RolloutView) -> Answer<()> {
    if row.stage.is_final() {
        view.split.applied = row.desired().basis_points();
        return Ok(());
    }
    let target = rows.target(&format!("routers/{}", proto::subject::key(&row.tenant, &row.model))).await?;
    view.split.drifted_since = target.as_ref().and_then(|target| target.drift_at);
    let share = target.and_then(|target| target.observed?.get("arms")?.get(row.candidate.as_str())?.as_u64());
    view.split.applied = share.and_then(|points| u32::try_from(points).ok()).unwrap_or(0);
    Ok(())
}

fn observed(arms: &[(String, f64, f64)]) -> Option<u32> {
    let of = |arm: &str| arms.iter().find(|(name, ..)| name == arm).map_or(0.0, |(_, requests, _)| *requests);
    let (candidate, all) = (of("candidate"), of("candidate") + of("stable"));
    (all > 0.0)
        .then(|| rounded(candidate / all * f64::from(rollout::WHOLE)))
        .and_then(|points| u32::try_from(points).ok())
}

fn exposure(row: &Rollout, arms: Vec<(String, f64, f64)>, ledger: &ExposureLedger) -> Vec<Exposure> {
    let version = |arm: &str| if arm == "candidate" { Some(&row.candidate) } else { row.previous.as_ref() };
    arms.into_iter()
        .filter_map(|(arm, requests, errors)| {
            let version = version(&arm)?;
            let (_, no_key, sessions) = ledger.of(version);
            let (requests, errors) = (rounded(requests), rounded(errors));
            Some(Exposure { version: version.to_string(), requests, errors, sessions, no_key })
        })
        .collect()
}

/// A count that was added up in floating point.
fn rounded(count: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count is not negative, and `as` stops at the ends"
    )]
    let count = count.round() as u64;
    count
}

fn evidence(view: &mut RolloutView, row: &Rollout, judged: &JudgeRow) {
    view.baseline = judged
        .state
        .pointer("/judge/baseline")
        .filter(|baseline| baseline.as_object().is_some_and(|signals| !signals.is_empty()))
        .cloned();
    let verdict: Option<Verdict> =
        judged.verdict.as_ref().and_then(|verdict| serde_json::from_value(verdict.clone()).ok());
    if let (Some(verdict), Some(checks)) = (verdict, &row.plan.checks) {
        view.issues = render(checks, &verdict);
        view.verdict = Some(verdict);
    }
}
