//! A rollout in the shape of `CanaryDeployment`.

use proto::http::{CanaryDeployment, CanaryStage};
use rollout::{At, Rollout, Step};
use store::Rows;

use crate::problem::Answer;

/// Entries of the log read at once.
const PAGE: i64 = 500;
const IN_PROGRESS: &str = "in_progress";

pub(crate) async fn canary_deployment(rows: &mut Rows<'_>, row: Rollout) -> Answer<CanaryDeployment> {
    let started = started(rows, &row).await?;
    let stages: Vec<_> = row.plan.steps.iter().zip(started).map(|(step, at)| stage(step, at)).collect();
    let last = u32::try_from(stages.len()).unwrap_or(u32::MAX).saturating_sub(1);
    Ok(CanaryDeployment {
        deployment_id: row.id,
        agent_name: row.model,
        stable_version: row.previous,
        canary_version: row.candidate,
        stages,
        current_stage_index: row.step.min(last),
        status: if row.stage.is_final() { row.stage.name() } else { IN_PROGRESS }.to_owned(),
    })
}

fn stage(step: &Step, started_at: Option<At>) -> CanaryStage {
    #[expect(clippy::cast_precision_loss, reason = "a dwell has far fewer than 2^52 milliseconds")]
    let observation_minutes = step.dwell.0 as f64 / 60_000.0;
    CanaryStage { canary_traffic_pct: step.split.candidates().percent(), observation_minutes, started_at }
}

/// When the split of each step was read back for the first time, as the log says.
async fn started(rows: &mut Rows<'_>, row: &Rollout) -> Answer<Vec<Option<At>>> {
    let mut started = vec![None; row.plan.steps.len()];
    let mut after = 0;
    loop {
        let log = rows.history(&row.id, after, PAGE).await?;
        let Some(last) = log.last().map(|entry| entry.version) else { return Ok(started) };
        for entry in log.iter().filter(|entry| entry.from_stage == "shifting" && entry.fact_kind == "split_applied") {
            if let Some(at) = started.get_mut(usize::try_from(entry.step).unwrap_or(usize::MAX)) {
                at.get_or_insert(entry.decided_at);
            }
        }
        after = last;
    }
}
