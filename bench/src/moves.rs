//! From a promote to the first split, and from a breach to none, with 200 rollouts live at once in one process.
//!
//! The floor of each is its chain of commits, alone: what the disk takes when nothing is decided between them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::figure::{Figure, median, quantile};
use crate::{floor, house};

const LIVE: usize = 200;
/// api, registry-writer, scheduler, deployer, scheduler, updater, router, updater, scheduler.
const PROMOTE_COMMITS: f64 = 9.0;
/// scheduler, updater, router, updater.
const BREACH_COMMITS: f64 = 4.0;
/// Between the breaches, so that they do not all fall into one tick.
const APART: Duration = Duration::from_millis(25);

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let commit = commit_ms().await?;
    let house = house::House::start(&[])?;
    let upstream = house::upstream().await?;
    let (mut rollouts, mut promoted) = (Vec::new(), Vec::new());
    for number in 0..LIVE {
        let model = format!("m{number}");
        house.api.model(&model, upstream).await?;
        let began = Instant::now();
        let id = house.api.promote(&model, &house::policy()).await?;
        house.api.stage(&id, "observing").await?;
        promoted.push(began.elapsed().as_secs_f64() * 1_000.0);
        rollouts.push((model, id));
    }
    let mut breached = Vec::new();
    for (model, _) in &rollouts {
        let outcome = json!({"model": model, "version": "2", "metric": "hallucination", "value": 1});
        house.api.post("/v1/observations", &json!(vec![outcome; 30])).await?;
        tokio::time::sleep(APART).await;
    }
    for (_, id) in &rollouts {
        house.api.stage(id, "rolled_back").await?;
        breached.push(house.api.between_ms(id, "retreating", "rolled_back").await?);
    }
    Ok(vec![
        figure("promote request -> first split read back, one after another", &promoted, PROMOTE_COMMITS * commit),
        figure("breach -> split at 0 read back, 200 live", &breached, BREACH_COMMITS * commit),
    ])
}

fn figure(what: &'static str, ms: &[f64], floor: f64) -> Figure {
    let (p50, p99) = (quantile(ms, 0.5), quantile(ms, 0.99));
    Figure {
        what,
        ours: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        floor: format!("{floor:.1} ms of bare commits"),
        ratio: format!("{:.1} (p50)", p50 / floor),
        target: "p99 <= 50 ms",
        is_met: p99 <= 50.0,
    }
}

/// One bare commit, in milliseconds.
async fn commit_ms() -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let folder = tempfile::tempdir()?;
        let bare = floor::open(folder.path()).await?;
        rates.push(floor::steps(&bare, 300, 1).await?);
        bare.close().await;
    }
    // A step of the floor is two commits.
    Ok(1_000.0 / median(&rates) / 2.0)
}
