//! How late deadlines fire: rollouts that wait in `paused`, all of which are reminded of at their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::{Clock, Core};
use rollout::{At, Match, Model, Plan, Request, Rollout, RolloutId, Stage, Tenant, Version, Workload};
use store::{Change, Store, Transition};

use crate::figure::{Figure, quantile};

/// From the start until the first is due: the rows must be in, and the process must have read them.
const LEAD_MS: i64 = 8_000;
/// All are due within this.
const WITHIN_MS: i64 = 1_000;
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let few = late_ms(1_000, 10 * WITHIN_MS).await?;
    let many = late_ms(10_000, WITHIN_MS).await?;
    let figure = |what, late: &[f64], target, most| {
        let p99 = quantile(late, 0.99);
        Figure {
            what,
            ours: format!("p50 {:.0} ms, p99 {p99:.0} ms", quantile(late, 0.5)),
            floor: "none: the timer's own instant".to_owned(),
            ratio: "-".to_owned(),
            target,
            is_met: p99 <= most,
        }
    };
    Ok(vec![
        figure("deadline lateness, 1,000 waiting rollouts within 10 s", &few, "p99 <= 50 ms", 50.0),
        figure("deadline lateness, 10,000 due in one second", &many, "p99 < 1 s", 1_000.0),
    ])
}

/// The lateness of `count` deadlines that are spread over `within` milliseconds: `decided_at - wake_at`.
async fn late_ms(count: i64, within: i64) -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path()).await?;
    let clock = Clock::system();
    let first = clock.now().plus_ms(LEAD_MS);
    let mut tx = store.begin().await?;
    for number in 0..count {
        let row = paused(number, first.plus_ms(within * number / count))?;
        let entry = Box::new(opened(&row));
        tx.apply(&Change::Open { row: Box::new(row), salt: "bench".to_owned(), entry }).await?;
    }
    tx.commit().await?;
    let core = Core::start(store, clock).await?;
    stage_scheduler::serve(&core);
    registry_writer::serve(&core);
    ensure!(core.clock.now() < first, "the rows took longer to write than {LEAD_MS} ms");
    let late = fired(&core, count, first, within).await;
    core.stop().await;
    late
}

async fn fired(core: &Core, count: i64, first: At, within: i64) -> anyhow::Result<Vec<f64>> {
    core.clock.sleep_until(first.plus_ms(within)).await;
    let since = Instant::now();
    let mut late = Vec::new();
    for number in 0..count {
        let (id, due) = (RolloutId::of("bench", &number.to_string()), first.plus_ms(within * number / count));
        loop {
            let mut reader = core.store.page().await?;
            if let Some(entry) = reader.rows().history(&id, 1, 1).await?.first() {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
                late.push(entry.decided_at.ms_since(due) as f64);
                break;
            }
            drop(reader);
            ensure!(since.elapsed() < LIMIT, "deadline {number} does not fire within {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(late)
}

fn paused(number: i64, wake_at: At) -> anyhow::Result<Rollout> {
    let (tenant, model) = (Tenant::default_tenant(), Model::new(format!("m{number}"))?);
    let workload = Workload {
        upstream: "http://127.0.0.1:9".to_owned(),
        headers: BTreeMap::new(),
        health: rollout::Health::default(),
        matches: Match::default_for(&tenant, &model),
    };
    let request = Request {
        id: RolloutId::of("bench", &number.to_string()),
        tenant,
        model,
        candidate: Version::new("2")?,
        workload,
        requested_by: "bench".to_owned(),
        plan: Plan::activate(),
    };
    let mut row = Rollout::requested(request, wake_at.plus_ms(-60_000));
    (row.stage, row.resume, row.version, row.attempt) = (Stage::Paused, Some(Stage::Preparing), 1, 1);
    row.wake_at = Some(wake_at);
    Ok(row)
}

fn opened(row: &Rollout) -> Transition {
    Transition {
        rollout_id: row.id.clone(),
        version: 1,
        from_stage: "none".to_owned(),
        to_stage: row.stage.name().to_owned(),
        step: 0,
        fact_kind: "bench".to_owned(),
        fact_source: "bench".to_owned(),
        fact_id: row.id.to_string(),
        fact: serde_json::Value::Null,
        actor: "bench".to_owned(),
        reason: None,
        evidence: None,
        decided_at: row.created_at,
    }
}
