//! How late deadlines fire: rollouts that wait in `paused`, all of which are reminded of at their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::{Clock, Core};
use rollout::{At, Match, Model, Plan, Request, Rollout, RolloutId, Stage, Tenant, Version, Workload};
use store::{Change, Store, Transition};

use crate::figure::{Figure, quantile};

/// From the start until the first is due: the rows must be in, and the process must have read them.
const LEAD_MS: i64 = 12_000;
const LIMIT: Duration = Duration::from_secs(120);

/// Deadlines that come in even steps.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) count: i64,
    /// All of them, in milliseconds.
    pub(crate) within_ms: i64,
}

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let few = late_ms(Due { count: 1_000, within_ms: 10_000 }).await?;
    let many = late_ms(Due { count: 10_000, within_ms: 1_000 }).await?;
    Ok(vec![
        figure("deadline lateness, 1,000 waiting rollouts within 10 s", &few, "p99 <= 50 ms", 50.0),
        figure("deadline lateness, 10,000 due in one second", &many, "p99 < 1 s", 1_000.0),
    ])
}

pub(crate) fn figure(what: &'static str, late: &[f64], target: &'static str, most: f64) -> Figure {
    let p99 = quantile(late, 0.99);
    Figure {
        what,
        ours: format!("p50 {:.0} ms, p99 {p99:.0} ms", quantile(late, 0.5)),
        floor: "none: the timer's own instant".to_owned(),
        ratio: "-".to_owned(),
        target,
        is_met: p99 <= most,
    }
}

async fn late_ms(due: Due) -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let (store, clock) = (Store::open(folder.path()).await?, Clock::system());
    let first = due.write(&store, &clock).await?;
    let core = Core::start(store.clone(), clock.clone()).await?;
    stage_scheduler::serve(&core);
    registry_writer::serve(&core);
    let late = due.fired((&store, &clock), first).await;
    core.stop().await;
    late
}

impl Due {
    /// Writes the rows; gives the first instant.
    pub(crate) async fn write(self, store: &Store, clock: &Clock) -> anyhow::Result<At> {
        let first = clock.now().plus_ms(LEAD_MS);
        let mut tx = store.begin().await?;
        for number in 0..self.count {
            let row = paused(number, self.at(first, number))?;
            let entry = Box::new(opened(&row));
            tx.apply(&Change::Open { row: Box::new(row), salt: "bench".to_owned(), entry }).await?;
        }
        tx.commit().await?;
        ensure!(clock.now().plus_ms(LEAD_MS / 4) < first, "the rows took too long to write within {LEAD_MS} ms");
        Ok(first)
    }

    fn at(self, first: At, number: i64) -> At {
        first.plus_ms(self.within_ms * number / self.count)
    }

    /// The lateness of each, in milliseconds: `decided_at - wake_at`.
    pub(crate) async fn fired(self, (store, clock): (&Store, &Clock), first: At) -> anyhow::Result<Vec<f64>> {
        clock.sleep_until(first.plus_ms(self.within_ms)).await;
        let since = Instant::now();
        let mut late = Vec::new();
        for number in 0..self.count {
            let (id, due) = (RolloutId::of("bench", &number.to_string()), self.at(first, number));
            loop {
                let mut reader = store.page().await?;
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
