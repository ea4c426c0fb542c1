//! Time as the database tells it, so that services on machines whose clocks differ agree all the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollout::At;
use store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Clock, machine_time};

/// The database is asked this often.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

/// What was told last, and when; the time of this machine until then.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Option<(At, Instant)>>>);

impl Told {
    /// It is `at` now.
    pub fn tell(&self, at: At) {
        *self.told() = Some((at, Instant::now()));
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> At {
        match *self.told() {
            Some((at, since)) => at.plus_ms(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)),
            None => machine_time(),
        }
    }

    /// A clock that is kept beside this time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let told = self.clone();
        Clock::beside(move || told.now())
    }

    /// Asks the database, if that has a clock of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(&self, store: &Store) -> Result<(), store::Error> {
        if let Some(at) = store.time().await? {
            self.tell(at);
        }
        Ok(())
    }

    /// Asks the database again and again until `stop`. While it does not answer, nobody's clock says anything else.
    pub async fn keep_asking(self, store: Store, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(ASKED_AGAIN) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.ask(&store).await {
                tracing::debug!("the database does not tell the time: {error}");
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Option<(At, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
