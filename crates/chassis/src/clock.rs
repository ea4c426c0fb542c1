//! The one door to time.

mod jump;
mod told;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::At;
use tokio::sync::watch;
use tokio::time::Instant;

pub use jump::{Compared, compare};
pub use told::Told;

/// Process time: the wall clock at start and monotonic time since, so that a jump of the wall clock makes nothing early.
/// [`Clock::keep`] follows a wall clock that drifts, or that is set back.
#[derive(Debug, Clone)]
pub enum Clock {
    /// Of the machine.
    System(Arc<Machine>),
    /// Moved by hand, for what takes hours.
    Manual(Arc<Hand>),
}

/// The clocks of a machine.
pub struct Machine {
    /// Process time when the monotonic clock was read first, and what was corrected since; milliseconds since 1970.
    started_at: AtomicI64,
    started: Instant,
    wall: Box<dyn Fn() -> At + Send + Sync>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}

impl Machine {
    fn now(&self) -> At {
        let since = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        At(self.started_at.load(Ordering::SeqCst).saturating_add(since))
    }
}

/// What the clock of this machine says.
fn machine_time() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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
        Self::beside(machine_time)
    }

    /// The machine's clock beside another wall clock than its own.
    #[must_use]
    pub fn beside(wall: impl Fn() -> At + Send + Sync + 'static) -> Self {
        let started_at = AtomicI64::new(wall().0);
        Self::System(Arc::new(Machine { started_at, started: Instant::now(), wall: Box::new(wall) }))
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
            Self::System(machine) => machine.now(),
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

    /// Goes to `at`, wherever it stands: for a process that does nothing at an instant, but says when it did it.
    pub fn adopt(&self, at: At) {
        match self {
            Self::System(machine) => machine.shift(at.ms_since(machine.now())),
            Self::Manual(_) => self.move_to(at),
        }
    }

    /// Waits until `at`. The wait is measured once, by monotonic time: if the clock is set back meanwhile it ends before `at`, so
    /// that what comes round each few seconds goes on; whoever acts at an instant that is kept looks at [`Clock::now`] again.
    pub async fn sleep_until(&self, at: At) {
        match self {
            Self::System(_) => {
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
