//! The one door to time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::At;
use tokio::sync::watch;
use tokio::time::Instant;

/// Process time: the wall clock at start and monotonic time since, so that a jump of the wall clock makes nothing early.
#[derive(Debug, Clone)]
pub enum Clock {
    /// Of the machine.
    System {
        /// The wall clock at start, in milliseconds since 1970.
        started_at: i64,
        /// The monotonic clock at the same moment.
        started: Instant,
    },
    /// Moved by hand, for what takes hours.
    Manual(Arc<Hand>),
}

/// A clock that somebody moves.
#[derive(Debug)]
pub struct Hand {
    now: AtomicI64,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::System { started_at: i64::try_from(since.as_millis()).unwrap_or(i64::MAX), started: Instant::now() }
    }

    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub fn manual(now: At) -> Self {
        Self::Manual(Arc::new(Hand { now: AtomicI64::new(now.0), moved: watch::channel(()).0 }))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> At {
        match self {
            Self::System { started_at, started } => {
                At(started_at.saturating_add(i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX)))
            }
            Self::Manual(hand) => At(hand.now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward to `at`; the machine's clock moves by itself.
    pub fn move_to(&self, at: At) {
        if let Self::Manual(hand) = self {
            hand.now.fetch_max(at.0, Ordering::SeqCst);
            hand.moved.send_replace(());
        }
    }

    /// Waits until `at`.
    pub async fn sleep_until(&self, at: At) {
        match self {
            Self::System { .. } => {
                let milliseconds = u64::try_from(at.ms_since(self.now())).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Self::Manual(hand) => {
                let mut moved = hand.moved.subscribe();
                while self.now() < at {
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
