//! A rollout with what the other services know of it: verdict, applied and observed split, baseline, exposure.

use judge::{Verdict, render};
use proto::http::{Exposure, RolloutView};
use rollout::Rollout;
use store::{JudgeRow, Rows};

use crate::problem::Answer;

pub(crate) async fn whole(rows: &mut Rows<'_>, row: &Rollout) -> Answer<RolloutView> {
    let mut view = RolloutView::of(row);
    view.split.applied = applied(rows, row).await?;
    view.split.observed = observed(&rows.exposure(&row.id, Some(row.step)).await?);
    view.exposure = exposure(row, rows.exposure(&row.id, None).await?);
    if let Some(judged) = rows.judge(&row.id).await? {
        evidence(&mut view, row, &judged);
    }
    Ok(view)
}

/// What was last read back from the routers; the end of a rollout was read back too, or it would not be one.
pub(crate) async fn applied(rows: &mut Rows<'_>, row: &Rollout) -> Answer<u32> {
    if row.stage.is_final() {
        return Ok(row.desired().basis_points());
    }
    let target = rows.target(&format!("routers/{}", proto::subject::key(&row.tenant, &row.model))).await?;
    let share = target.and_then(|target| target.observed?.get("arms")?.get(row.candidate.as_str())?.as_u64());
    Ok(share.and_then(|points| u32::try_from(points).ok()).unwrap_or(0))
}

fn observed(arms: &[(String, f64, f64)]) -> Option<u32> {
    let of = |arm: &str| arms.iter().find(|(name, ..)| name == arm).map_or(0.0, |(_, requests, _)| *requests);
    let (candidate, all) = (of("candidate"), of("candidate") + of("stable"));
    (all > 0.0)
        .then(|| rounded(candidate / all * f64::from(rollout::WHOLE)))
        .and_then(|points| u32::try_from(points).ok())
}

fn exposure(row: &Rollout, arms: Vec<(String, f64, f64)>) -> Vec<Exposure> {
    let version = |arm: &str| if arm == "candidate" { Some(&row.candidate) } else { row.previous.as_ref() };
    arms.into_iter()
        .filter_map(|(arm, requests, errors)| {
            Some(Exposure { version: version(&arm)?.to_string(), requests: rounded(requests), errors: rounded(errors) })
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
