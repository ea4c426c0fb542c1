//! Whether the process is well enough to be given work: services that park one message after another, and what waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use judge::Span;
use rollout::At;

use crate::core::Core;

/// More than this many parked by one service within [`WINDOW`] is a bad release, not so many bad messages.
const PARKED_MAX: usize = 20;
/// The time in which they are counted.
const WINDOW: Span = Span(60_000);
/// More messages than this wait: new rollouts would only wait with them.
const WAITING_MAX: i64 = 10_000;
/// A message that waits longer than this says that its service does not keep up.
const WAITING_LIMIT: Span = Span(60_000);

/// What is known of the services of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    parked: BTreeMap<&'static str, VecDeque<At>>,
    ailing: BTreeMap<&'static str, At>,
    told: Option<String>,
}

impl Health {
    /// Counts a parked message; `true` when it is the one too many.
    pub(crate) fn parked(&self, service: &'static str, at: At) -> bool {
        let mut state = self.state();
        let times = state.parked.entry(service).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| at.ms_since(*first) >= WINDOW.ms()) {
            times.pop_front();
        }
        let is_too_many = times.len() > PARKED_MAX;
        is_too_many && state.ailing.insert(service, at).is_none()
    }

    /// Whether the service may go on pulling.
    pub(crate) fn is_well(&self, service: &str) -> bool {
        !self.state().ailing.contains_key(service)
    }

    fn ailing(&self) -> Option<String> {
        let names: Vec<_> = self.state().ailing.keys().copied().collect();
        (!names.is_empty()).then(|| format!("{} stopped after too many parked messages", names.join(", ")))
    }

    /// Whether this reason was not told last time.
    fn is_news(&self, why: Option<&str>) -> bool {
        let mut state = self.state();
        let is_news = state.told.as_deref() != why;
        state.told = why.map(str::to_owned);
        is_news
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of the health panics")
    }
}

impl Core {
    /// What waits to be handled, in words, when that is too much or too old for new rollouts to be taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn backlog(&self) -> Result<Option<String>, store::Error> {
        // After a start consumers read everything that is kept once more; what of it is old was settled long ago.
        if self.bus.is_looking() && self.clock.now().ms_since(self.started_at) < WAITING_LIMIT.ms() {
            return Ok(None);
        }
        let mut reader = self.store.page().await?;
        let (count, oldest) = self.bus.waiting(&mut reader.rows(), WAITING_MAX.saturating_add(1)).await?;
        let age = oldest.map_or(0, |at| self.clock.now().ms_since(at));
        Ok(if count > WAITING_MAX {
            Some(format!("more than {WAITING_MAX} messages wait to be handled"))
        } else if age > WAITING_LIMIT.ms() {
            Some(format!("a message has been waiting for {} s", age / 1000))
        } else {
            None
        })
    }

    /// Whether the process can be given work: it does not stop, the database answers, all services are well, and nothing piles
    /// up. Why not is logged when it changes.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        let why = match self.backlog().await {
            Ok(backlog) => {
                let piling = || backlog.map(|_| "messages pile up".to_owned());
                self.bus.ailing().or_else(|| self.health.ailing()).or_else(piling)
            }
            Err(error) => Some(format!("the database does not answer: {error}")),
        };
        if self.health.is_news(why.as_deref())
            && let Some(why) = &why
        {
            tracing::warn!("not ready: {why}");
        }
        why.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twenty_first_parked_message_of_a_minute_is_one_too_many() {
        let health = Health::default();
        let parked = |count: i64, since: i64| {
            (0..count).filter(|index| health.parked("a-service", At(since + index * 1_000))).count()
        };
        assert_eq!((parked(20, 0), health.is_well("a-service")), (0, true));
        // A minute after the first one there is room for another.
        assert_eq!((parked(1, 60_000), health.is_well("a-service")), (0, true));
        assert_eq!((parked(2, 60_500), health.is_well("a-service")), (1, false));
        assert!(health.is_well("another-service"));
        assert_eq!(health.ailing().as_deref(), Some("a-service stopped after too many parked messages"));
    }
}
