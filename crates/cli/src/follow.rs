//! A rollout while it moves: asked for again and again until it is final.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use proto::http::RolloutView;
use tokio::time::sleep;

use crate::client::{Client, Error};

/// A promote names its rollout before the row is there.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);
const APPEARS_PAUSE: Duration = Duration::from_millis(50);
/// A server that restarts is back before that.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// Follows one rollout.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    client: &'a Client,
    id: String,
    pause: Duration,
    gone_since: Option<Instant>,
}

/// What one look gave.
#[derive(Debug)]
pub(crate) enum Look {
    /// The rollout as it is.
    Seen(Box<RolloutView>),
    /// Nothing, for now, with the reason; told once for each absence.
    Gone(String),
}

impl<'a> Follower<'a> {
    /// Finds the rollout of an id or a model, and stays with it even if the model gets another one.
    pub(crate) async fn find(client: &'a Client, which: &str, pause: Duration) -> anyhow::Result<(Self, RolloutView)> {
        let first = appears(client, which).await?;
        Ok((Self { client, id: first.id.to_string(), pause, gone_since: None }, first))
    }

    /// Waits and looks again. A server that is gone is waited for, within a bound.
    ///
    /// # Errors
    /// When the server refuses, or is gone for too long.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Look> {
        loop {
            sleep(self.pause).await;
            let error = match self.client.rollout(&self.id).await {
                Ok(view) => {
                    self.gone_since = None;
                    return Ok(Look::Seen(Box::new(view)));
                }
                Err(error) => error,
            };
            let since = self.gone_since;
            let is_over = since.is_some_and(|since| since.elapsed() > GONE_LIMIT);
            if !error.is_passing() || is_over {
                return Err(error).with_context(|| format!("lost sight of rollout {}", self.id));
            }
            self.gone_since = Some(since.unwrap_or_else(Instant::now));
            if since.is_none() {
                return Ok(Look::Gone(error.to_string()));
            }
        }
    }
}

pub(crate) async fn appears(client: &Client, which: &str) -> Result<RolloutView, Error> {
    let began = Instant::now();
    loop {
        match client.rollout(which).await {
            // Only an id may be ahead of its row; a model without a rollout will not get one by waiting.
            Err(error) if error.status() == Some(404) && is_id(which) && began.elapsed() < APPEARS_WITHIN => {
                sleep(APPEARS_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

fn is_id(which: &str) -> bool {
    rollout::RolloutId::new(which).is_ok()
}
