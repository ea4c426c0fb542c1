//! How fast a relay drains an outbox of 20,000 rows, beside bare publications of the same bodies with as many on their way.

use std::time::{Duration, Instant};

use anyhow::ensure;
use rollout::{At, RolloutId};
use store::Outgoing;

use super::floor::{Floor, publish};
use super::plane::{LIMIT, Plane};
use crate::figure::Figure;

const ROWS: usize = 20_000;

pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut plane = Plane::set_up()?;
    let bare = Floor::open(&plane).await?;
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    let began = Instant::now();
    publish(&bare.jetstream, rows.iter().map(|row| ("floor.out.relay".to_owned(), row.body.clone()))).await?;
    let floor = per_second(began.elapsed());
    let store = plane.store().await?;
    let mut tx = store.begin().await?;
    for some in rows.chunks(1_000) {
        tx.say_to_relay(some, At(0)).await?;
    }
    tx.commit().await?;
    let began = Instant::now();
    plane.start("stage-scheduler").await?;
    while store.reader().await?.rows().unpublished("stage-scheduler", 1).await?.0 > 0 {
        ensure!(began.elapsed() < LIMIT, "rows are left after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ours = per_second(began.elapsed());
    Ok(Figure {
        what: "relay, 20,000 rows waiting",
        ours: format!("{ours:.0}/s"),
        floor: format!("{floor:.0}/s"),
        ratio: format!("{:.2}", ours / floor),
        target: ">= 1/2",
        is_met: ours >= floor / 2.0,
    })
}

fn row(number: usize) -> Outgoing {
    let rollout_id = RolloutId::of("bench", &number.to_string());
    Outgoing {
        service: "stage-scheduler",
        message_id: format!("{rollout_id}.1.1"),
        rollout_id: Some(rollout_id),
        // Nobody who runs here hears it.
        subject: "tg.news.default.m.rollout.bench".to_owned(),
        headers: "{}".to_owned(),
        body: format!("{number:>900}"),
        created_at: At(1_800_000_000_000),
    }
}

fn per_second(took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rows = ROWS as f64;
    rows / took.as_secs_f64()
}
