//! One event at a time: from the call that publishes it to the consumer of what it leads to.

use std::time::Instant;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;

use super::floor::Floor;
use super::load::asked;
use super::plane::{Plane, hear};
use crate::figure::{Figure, median, quantile, say};

const ROUNDS: usize = 3;
const HOPS: usize = 300;

/// Times of hops, in milliseconds, a list a round.
pub(super) struct Hop {
    ours: Vec<Vec<f64>>,
    floor: Vec<Vec<f64>>,
}

pub(super) async fn measure() -> anyhow::Result<Hop> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        say(&format!("one event at a time, round {round} of {ROUNDS}"));
        let mut plane = Plane::set_up()?;
        let bare = Floor::open(&plane).await?;
        let mut effects = hear(&bare.jetstream, "FLOOR_OUT", "floor.out.>").await?;
        let events = (0..HOPS).map(|number| ("floor.in.event".to_owned(), number.to_string()));
        let timed = timed(&bare.jetstream, events.collect(), &mut effects, 2);
        floor.push(tokio::select! { timed = timed => timed?, stopped = bare.step() => return Err(stopped.err().context("the floor ended")?) });
        plane.start("stage-scheduler").await?;
        let mut effects = hear(&bare.jetstream, "TG_LOOP", "tg.normal.*.*.workload.start").await?;
        let events = (0..HOPS).map(asked).collect::<anyhow::Result<Vec<_>>>()?;
        ours.push(self::timed(&bare.jetstream, events, &mut effects, 1).await?);
    }
    Ok(Hop { ours, floor })
}

/// Publishes each event when what the one before led to has come, which is so many messages.
async fn timed(
    jetstream: &jetstream::Context,
    events: Vec<(String, String)>,
    effects: &mut pull::Stream,
    leads_to: usize,
) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    for (subject, body) in events {
        let began = Instant::now();
        let stored = jetstream.publish(subject, body.into()).await?;
        effects.next().await.context("no effect")??;
        all.push(began.elapsed().as_secs_f64() * 1_000.0);
        stored.await?;
        for _ in 1..leads_to {
            effects.next().await.context("no effect")??;
        }
    }
    // The first ones make connections and plans of statements.
    Ok(all.split_off(HOPS / 10))
}

impl Hop {
    /// A quantile of the floor: the middle one of the rounds.
    pub(super) fn floor(&self, at: f64) -> f64 {
        of(&self.floor, at)
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let figure = |what, at| {
            let (ours, floor) = (of(&self.ours, at), self.floor(at));
            Figure {
                what,
                ours: format!("{ours:.2} ms"),
                floor: format!("{floor:.2} ms"),
                ratio: format!("{:.2}", ours / floor),
                target: "<= 2 x",
                is_met: ours <= 2.0 * floor,
            }
        };
        vec![
            figure("event -> step -> effect delivered, p50", 0.5),
            figure("event -> step -> effect delivered, p99", 0.99),
        ]
    }
}

fn of(rounds: &[Vec<f64>], at: f64) -> f64 {
    median(&rounds.iter().map(|round| quantile(round, at)).collect::<Vec<_>>())
}
