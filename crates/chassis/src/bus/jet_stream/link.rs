//! What is known of the way to the servers: it is told by the client's events, and each change is one line of the log.

use std::time::{Duration, Instant};

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// Without a server for this long, the process can't be given work.
const DOWN_LIMIT: Duration = Duration::from_secs(5);
/// What the servers refused lately: whoever grants it need not restart us.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What is known of the way to the servers.
#[derive(Debug, Clone)]
pub(super) struct Link {
    service: &'static str,
    metrics: Metrics,
    state: watch::Sender<State>,
    gaps: watch::Sender<u64>,
}

/// The way to the servers.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// How often a server has taken us; 0 before the first time.
    pub(super) taken: u64,
    pub(super) is_up: bool,
    since: Instant,
    /// What was refused last.
    refused: Option<(Instant, String)>,
    /// Why there is no server, as it was logged.
    trouble: Option<String>,
}

impl Link {
    pub(super) fn new(service: &'static str, metrics: &Metrics) -> Self {
        metrics.may_be_refused(service);
        let state = State { taken: 0, is_up: false, since: Instant::now(), refused: None, trouble: None };
        Self { service, metrics: metrics.clone(), state: watch::channel(state).0, gaps: watch::channel(0).0 }
    }

    /// Changes with every event that matters.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Changes whenever something that was published may not have reached us.
    pub(super) fn gaps(&self) -> watch::Receiver<u64> {
        self.gaps.subscribe()
    }

    /// Why this process can't be given work, if that is so.
    pub(super) fn ailing(&self, now: Instant) -> Option<String> {
        let state = self.state.borrow();
        let down_for = now.saturating_duration_since(state.since);
        if !state.is_up && down_for >= DOWN_LIMIT {
            let why = state.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Some(format!("no nats-server for {} s{why}", down_for.as_secs()));
        }
        let (at, what) = state.refused.as_ref()?;
        (now.saturating_duration_since(*at) < REFUSED_FOR).then(|| format!("the nats-server refuses: {what}"))
    }

    pub(super) fn hear(&self, event: Event, now: Instant) {
        match event {
            Event::Connected => self.up(now),
            Event::Disconnected => self.down(now),
            Event::ServerError(ServerError::AuthorizationViolation) => self.trouble("it refuses our user".to_owned()),
            Event::ClientError(ClientError::Other(why)) => self.trouble(why),
            Event::ServerError(ServerError::Other(what)) if is_refusal(&what) => self.refused(what, now),
            Event::SlowConsumer(_) => self.dropped(),
            other => tracing::info!(service = self.service, "{}: {other}", self.service),
        }
    }

    fn up(&self, now: Instant) {
        self.state.send_modify(|state| {
            let service = self.service;
            if state.taken == 0 {
                tracing::info!(service, "{service} has a nats-server");
            } else {
                tracing::info!(
                    service,
                    "{service} has a nats-server again, after {:.1?}",
                    now.saturating_duration_since(state.since)
                );
            }
            state.taken += 1;
            (state.is_up, state.since, state.trouble) = (true, now, None);
        });
        self.gaps.send_modify(|gaps| *gaps += 1);
    }

    fn dropped(&self) {
        tracing::warn!(service = self.service, "{} hears too slowly, so the client dropped messages", self.service);
        self.gaps.send_modify(|gaps| *gaps += 1);
    }

    fn down(&self, now: Instant) {
        self.state.send_modify(|state| {
            // A second try that fails is no second loss.
            if std::mem::take(&mut state.is_up) {
                tracing::warn!(service = self.service, "{} has lost its nats-server, trying again", self.service);
                state.since = now;
            }
        });
    }

    /// Each try has a reason to fail; one line tells of a thousand tries that fail alike.
    fn trouble(&self, why: String) {
        self.state.send_if_modified(|state| {
            if state.trouble.as_ref() == Some(&why) {
                return false;
            }
            tracing::warn!(service = self.service, "{} can't reach a nats-server, trying again: {why}", self.service);
            state.trouble = Some(why);
            true
        });
    }

    /// A message that the server did not take gets no answer, so this is the only sign.
    fn refused(&self, what: String, now: Instant) {
        tracing::error!(service = self.service, "the nats-server refuses what {} needs: {what}", self.service);
        self.metrics.permission_refused(self.service);
        self.state.send_modify(|state| state.refused = Some((now, what)));
    }
}

fn is_refusal(what: &str) -> bool {
    what.to_ascii_lowercase().contains("permissions violation")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link::new("api", &Metrics::default())
    }

    #[test]
    fn five_seconds_without_a_server_are_too_many() {
        let (link, start) = (link(), Instant::now());
        link.hear(Event::Connected, start);
        link.hear(Event::Disconnected, start);
        link.hear(Event::ClientError(ClientError::Other("refused".to_owned())), start);
        assert_eq!(link.ailing(start + Duration::from_millis(4_999)), None);
        // What follows from the loss does not begin it anew.
        link.hear(Event::Disconnected, start + Duration::from_secs(4));
        let later = start + DOWN_LIMIT;
        assert_eq!(link.ailing(later).as_deref(), Some("no nats-server for 5 s: refused"));
        link.hear(Event::Connected, later);
        assert_eq!((link.ailing(later), link.state().borrow().taken), (None, 2));
    }

    #[test]
    fn what_is_refused_is_counted_and_named_for_a_minute() {
        let (link, start) = (link(), Instant::now());
        link.hear(Event::Connected, start);
        let what = "Permissions Violation for Publish to \"tg.cmd.t.m.rollout.stop\"";
        link.hear(Event::ServerError(ServerError::Other(what.to_owned())), start);
        assert_eq!(link.ailing(start), Some(format!("the nats-server refuses: {what}")));
        let page = link.metrics.counters();
        assert!(page.contains("tidegate_permission_refused_total{service=\"api\"} 1\n"), "{page}");
        assert_eq!(link.ailing(start + REFUSED_FOR), None);
    }
}
