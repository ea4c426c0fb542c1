//! Steps a second from a backlog: 25,000 rollouts are asked for, and then each candidate is ready. From the start of the scheduler
//! until every message is settled and everything that it said is published.
//!
//! Nobody starts a workload or applies a split here, so the scheduler says its intents again after 5 s, after 10 more, and so on.
//! Those are steps like the others, with rows and messages of their own, and are counted.

use std::time::{Duration, Instant};

use anyhow::ensure;
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;

use super::floor::{Floor, publish};
use super::load::{asked, ready};
use super::plane::{LIMIT, Plane};
use crate::figure::{self, Figure};

const ROLLOUTS: usize = 25_000;

pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut plane = Plane::set_up()?;
    let bare = Floor::open(&plane).await?;
    figure::say("50,000 events for the floor");
    bare.fill(2 * ROLLOUTS).await?;
    let floor = bare.steps_a_second(2 * ROLLOUTS).await?;
    let (mut took, mut steps) = (Duration::ZERO, 0);
    for (say, consumer) in
        [(asked as fn(usize) -> _, ("TG_CMD", "stage-scheduler-cmd")), (ready, ("TG_LOOP", "stage-scheduler"))]
    {
        let events = (0..ROLLOUTS).map(say).collect::<anyhow::Result<Vec<_>>>()?;
        publish(&bare.jetstream, events.into_iter()).await?;
        figure::say(&format!("a backlog of {ROLLOUTS} for {}", consumer.1));
        let began = Instant::now();
        plane.start("stage-scheduler").await?;
        settled(&plane, &bare.jetstream, consumer).await?;
        took += began.elapsed();
        plane.end();
        steps = bare.steps_of_ours().await?;
        figure::say(&format!("{steps} steps in {took:.1?}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let ours = steps as f64 / took.as_secs_f64();
    Ok(Figure {
        what: "steps, a backlog of 50,000",
        ours: format!("{ours:.0}/s"),
        floor: format!("{floor:.0}/s"),
        ratio: format!("{:.2}", ours / floor),
        target: ">= 1/2",
        is_met: ours >= floor / 2.0,
    })
}

/// Waits until a consumer has nothing left, and the scheduler nothing to say.
async fn settled(plane: &Plane, jetstream: &jetstream::Context, (stream, name): (&str, &str)) -> anyhow::Result<()> {
    let (store, since) = (plane.store().await?, Instant::now());
    let mut consumer: PullConsumer =
        jetstream.get_consumer_from_stream(name, stream).await.map_err(|cause| anyhow::anyhow!(cause))?;
    loop {
        let info = consumer.info().await?;
        let left = info.num_pending + u64::try_from(info.num_ack_pending)?;
        if left == 0 && store.reader().await?.rows().unpublished("stage-scheduler", 1).await?.0 == 0 {
            return Ok(());
        }
        ensure!(since.elapsed() < LIMIT, "{left} messages are left after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
