//! The same work without our code: an event is taken from a stream, the rows of a step are committed, what it leads to is
//! published, and the event is acknowledged.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, Message, stream};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use sqlx::postgres::PgPool;

use super::plane::Plane;

/// As much as the largest message of a step.
const BODY: usize = 900;
/// Messages to a commit, where there are so many.
const BATCH: usize = 100;
/// What a step says.
const SAYS: usize = 2;
/// A pull of a batch that finds nothing ends after this.
const PULL: Duration = Duration::from_millis(500);

/// Streams and tables of the floor, on the servers of a plane.
pub(super) struct Floor {
    pub(super) jetstream: jetstream::Context,
    pool: PgPool,
    consumer: PullConsumer,
}

impl Floor {
    pub(super) async fn open(plane: &Plane) -> anyhow::Result<Self> {
        let jetstream = plane.jetstream().await;
        for name in ["FLOOR_IN", "FLOOR_OUT"] {
            let subjects = vec![format!("{}.>", name.to_lowercase().replace('_', "."))];
            jetstream.create_stream(stream::Config { name: name.to_owned(), subjects, ..Default::default() }).await?;
        }
        let config =
            pull::Config { durable_name: Some("floor".to_owned()), max_ack_pending: 512, ..Default::default() };
        let consumer = jetstream.create_consumer_on_stream(config, "FLOOR_IN").await?;
        let pool = PgPool::connect(&plane.postgres.url()).await?;
        sqlx::raw_sql(
            "create schema floor;
             create table floor.inbox (id text primary key, at bigint);
             create table floor.outbox (position bigint generated always as identity primary key, id text unique, body text, published_at bigint);
             create table floor.rollout (id text primary key, version bigint, stage text);
             create table floor.transition (id text, version bigint, body text, primary key (id, version));
             create table floor.route (id text primary key, spec text)",
        )
        .execute(&pool)
        .await?;
        Ok(Self { jetstream, pool, consumer })
    }

    /// Puts `count` events into the stream.
    pub(super) async fn fill(&self, count: usize) -> anyhow::Result<()> {
        publish(&self.jetstream, (0..count).map(|number| ("floor.in.event".to_owned(), format!("{number:>BODY$}"))))
            .await
    }

    /// Steps one event after another, for as long as it is polled.
    pub(super) async fn step(&self) -> anyhow::Result<()> {
        let mut events = self.consumer.messages().await?;
        while let Some(event) = events.next().await {
            self.settle(vec![event?]).await?;
        }
        Ok(())
    }

    /// Steps `count` events, a batch to a commit; gives steps a second.
    pub(super) async fn steps_a_second(&self, count: usize) -> anyhow::Result<f64> {
        let (began, mut done) = (Instant::now(), 0);
        while done < count {
            let mut events = Vec::new();
            let mut pulled = self.consumer.batch().max_messages(BATCH).expires(PULL).messages().await?;
            while let Some(event) = pulled.next().await {
                events.push(event.map_err(|cause| anyhow::anyhow!(cause))?);
            }
            done += events.len();
            self.settle(events).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    /// How many steps our own rollouts have made: each is an entry of the log, and counts their version.
    pub(super) async fn steps_of_ours(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select coalesce(sum(version), 0)::bigint from rollout").fetch_one(&self.pool).await?)
    }

    /// The rows of a step for each event in one commit, then what they say, then the acknowledgements.
    async fn settle(&self, events: Vec<Message>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::new();
        for event in &events {
            let info = event.info().map_err(|cause| anyhow::anyhow!(cause))?;
            ids.push(format!("event.{}", info.stream_sequence));
        }
        let said: Vec<_> = ids.iter().flat_map(|id| (0..SAYS).map(move |number| format!("{id}.{number}"))).collect();
        let body = "x".repeat(BODY);
        let mut tx = self.pool.begin().await?;
        sqlx::query("insert into floor.inbox select id, 0 from unnest($1::text[]) id on conflict do nothing")
            .bind(&ids)
            .execute(&mut *tx)
            .await?;
        sqlx::query("select id, version, stage from floor.rollout where id = any($1) order by id for update")
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await?;
        sqlx::query("insert into floor.rollout select id, 1, 'observing' from unnest($1::text[]) id on conflict (id) do update set version = rollout.version + 1")
            .bind(&ids)
            .execute(&mut *tx)
            .await?;
        for insert in [
            "insert into floor.transition select id, 1, $2 from unnest($1::text[]) id",
            "insert into floor.route select id, $2 from unnest($1::text[]) id on conflict (id) do update set spec = excluded.spec",
        ] {
            sqlx::query(insert).bind(&ids).bind(&body).execute(&mut *tx).await?;
        }
        sqlx::query("insert into floor.outbox (id, body) select id, $2 from unnest($1::text[]) id")
            .bind(&said)
            .bind(&body)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        publish(&self.jetstream, said.iter().map(|id| (format!("floor.out.{id}"), body.clone()))).await?;
        sqlx::query("update floor.outbox set published_at = 1 where id = any($1)")
            .bind(&said)
            .execute(&self.pool)
            .await?;
        for event in events {
            event.ack().await.map_err(|cause| anyhow::anyhow!(cause))?;
        }
        Ok(())
    }
}

/// Publishes with at most 512 on their way.
pub(super) async fn publish(
    jetstream: &jetstream::Context,
    messages: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let mut waiting = Vec::new();
    for (subject, body) in messages {
        waiting.push(jetstream.publish(subject, body.into()).await?);
        if waiting.len() == 512 {
            try_join_all(waiting.drain(..).map(IntoFuture::into_future)).await?;
        }
    }
    try_join_all(waiting.into_iter().map(IntoFuture::into_future)).await?;
    Ok(())
}
