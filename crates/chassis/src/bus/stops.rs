//! Stops as a listener hears them, over either arm.

use proto::RolloutCommand;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Stops that a slow listener may be behind.
pub(super) const STOPS_MAX: usize = 1_024;

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A rollout is to be stopped.
    Stop(Box<RolloutCommand>),
    /// Some may not have been heard: those in the `stop` table are known again.
    Gap,
}

/// A listener's end.
#[derive(Debug)]
pub struct Stops(broadcast::Receiver<Heard>);

impl Stops {
    pub(super) const fn new(heard: broadcast::Receiver<Heard>) -> Self {
        Self(heard)
    }

    /// The next word; none when the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(_)) => Some(Heard::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}
