//! Steps a second: messages in, rows of rollouts moved, messages out, through scheduler, store and in-process bus.
//!
//! A rollout is asked for and its candidate is ready: two steps, which open the row, move it, write its log and its route, and
//! say four messages. *One at a time* waits for each step before the next message is said, which is a commit of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::{Clock, Core, Say, Stamped, Trace};
use proto::{Message, PromotionRequested, WorkloadAnswer};
use rollout::{Match, Model, Plan, RolloutId, Tenant, Version, WhenLive, Workload};
use store::Store;

use crate::figure::{Figure, median};
use crate::floor;

const ROUNDS: usize = 3;
const BACKLOG: usize = 3_000;
const ONE_BY_ONE: usize = 500;
/// Far above what a backlog takes.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let (mut single, mut batched, mut floor_single, mut floor_batched) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let bare = floor::open(folder.path()).await?;
        floor_batched.push(floor::steps(&bare, 6_000, 100).await?);
        floor_single.push(floor::steps(&bare, 1_000, 1).await?);
        bare.close().await;
        batched.push(backlog().await?);
        single.push(one_by_one().await?);
    }
    let figure = |what, ours: &[f64], floor: &[f64], target, least| {
        let (ours, floor) = (median(ours), median(floor));
        Figure {
            what,
            ours: format!("{ours:.0}/s"),
            floor: format!("{floor:.0}/s"),
            ratio: format!("{:.2}", ours / floor),
            target,
            is_met: ours >= least,
        }
    };
    Ok(vec![
        figure("steps, one message at a time", &single, &floor_single, ">= 1,500/s", 1_500.0),
        figure("steps, a backlog", &batched, &floor_batched, ">= 5,000/s", 5_000.0),
    ])
}

/// A process that only schedules.
struct Process {
    core: Core,
}

impl Process {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { core: Core::start(Store::open(folder).await?, Clock::system()).await? })
    }

    async fn say(&self, says: &[Say]) -> anyhow::Result<()> {
        let trace = Trace::from_parent(None);
        let stamped = Stamped { service: "api", at: self.core.clock.now(), trace: &trace };
        Ok(self.core.bus.publish(&stamped, says).await?)
    }

    async fn settles(&self, id: &str) -> anyhow::Result<()> {
        let mut commits = self.core.bus.commits();
        let since = Instant::now();
        loop {
            commits.borrow_and_update();
            let mut reader = self.core.store.reader().await?;
            if reader.rows().is_settled("stage-scheduler", "/tidegate/api", id).await? {
                return Ok(());
            }
            ensure!(since.elapsed() < LIMIT, "`{id}` is not handled within {LIMIT:?}");
            let _ = tokio::time::timeout(Duration::from_millis(100), commits.changed()).await;
        }
    }
}

async fn backlog() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut took = Duration::ZERO;
    for say in [asked, ready] {
        let process = Process::start(folder.path()).await?;
        let says = (0..BACKLOG).map(|number| say(&number.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        for some in says.chunks(500) {
            process.say(some).await?;
        }
        let began = Instant::now();
        stage_scheduler::serve(&process.core);
        process.settles(&says[BACKLOG - 1].id).await?;
        took += began.elapsed();
        process.core.stop().await;
    }
    Ok(per_second(2 * BACKLOG, took))
}

async fn one_by_one() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let process = Process::start(folder.path()).await?;
    stage_scheduler::serve(&process.core);
    let began = Instant::now();
    for number in 0..ONE_BY_ONE {
        for say in [asked, ready] {
            let say = say(&number.to_string())?;
            process.say(std::slice::from_ref(&say)).await?;
            process.settles(&say.id).await?;
        }
    }
    let took = began.elapsed();
    process.core.stop().await;
    Ok(per_second(2 * ONE_BY_ONE, took))
}

fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = count as f64;
    count / took.as_secs_f64()
}

pub(crate) fn asked(id: &str) -> anyhow::Result<Say> {
    let tenant = Tenant::default_tenant();
    let model = Model::new(format!("m{id}"))?;
    let workload = Workload {
        upstream: "http://127.0.0.1:9".to_owned(),
        headers: BTreeMap::new(),
        health: rollout::Health::default(),
        matches: Match::default_for(&tenant, &model),
    };
    let message = Message::PromotionRequested(PromotionRequested {
        rollout_id: RolloutId::of("bench", id),
        candidate: Version::new("1")?,
        workload,
        plan: Plan::activate(),
        when_live: WhenLive::Reject,
        requested_by: "bench".to_owned(),
        reason: None,
        refusal: None,
        tenant,
        model,
    });
    Ok(Say { id: format!("ask.{id}"), message })
}

pub(crate) fn ready(id: &str) -> anyhow::Result<Say> {
    let message = Message::WorkloadReady(WorkloadAnswer {
        tenant: Tenant::default_tenant(),
        model: Model::new(format!("m{id}"))?,
        rollout_id: RolloutId::of("bench", id),
        attempt: 1,
        reason: None,
        passing: false,
    });
    Ok(Say { id: format!("ready.{id}"), message })
}
