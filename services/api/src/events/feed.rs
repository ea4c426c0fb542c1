//! The events of one stream, read from the log after each commit.
//!
//! An entry is decided a little before it is committed, and two commits may swap places. Each look therefore goes back some
//! seconds behind the newest entry and leaves out what was sent already.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chassis::Core;
use rollout::{At, RolloutId, Tenant};
use store::FactRow;
use tokio::sync::watch;

use super::place::Place;

/// How far a look goes back, in milliseconds: a commit waits no longer for the database than this.
const BACK_MS: i64 = 5_000;
/// Entries read at once.
const PAGE: i64 = 50;
/// Commits that come within this are looked at together.
const PACE: Duration = Duration::from_millis(50);
/// A wake-up that got lost, which none should, costs at most this; so does a database that is away.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The events of one stream.
#[derive(Debug)]
pub(crate) struct Feed {
    core: Core,
    tenant: Option<Tenant>,
    rollout: Option<RolloutId>,
    /// Read up to here.
    place: Place,
    newest: At,
    sent: BTreeSet<Place>,
    ready: VecDeque<FactRow>,
    commits: watch::Receiver<i64>,
}

impl Feed {
    /// Begins a little before `from`.
    pub(crate) fn new(core: Core, of: (Option<Tenant>, Option<RolloutId>), from: &Place) -> Self {
        let (commits, newest) = (core.bus.commits(), from.at.min(core.clock.now()));
        let place = Place::at(At(newest.0 - BACK_MS));
        let (tenant, rollout) = of;
        Self { core, tenant, rollout, place, newest, sent: BTreeSet::new(), ready: VecDeque::new(), commits }
    }

    /// The next event; none once the process stops.
    pub(crate) async fn next(&mut self) -> Option<FactRow> {
        let stop = self.core.stop.clone();
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            tokio::select! { () = stop.cancelled() => return None, () = self.fill() => {} }
        }
    }

    async fn fill(&mut self) {
        match self.look().await {
            Ok(()) if !self.ready.is_empty() => {}
            Ok(()) => {
                let _ = tokio::time::timeout(LOOK_AGAIN, self.commits.changed()).await;
                tokio::time::sleep(PACE).await;
            }
            Err(error) => {
                tracing::warn!("an event stream can't read the log, trying again in {LOOK_AGAIN:?}: {error:#}");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Reads on until there is something to send, or nothing more to read.
    pub(crate) async fn look(&mut self) -> Result<(), store::Error> {
        self.commits.borrow_and_update();
        while self.ready.is_empty() {
            let rows = {
                let mut reader = self.core.store.page().await?;
                let after = (self.place.at, self.place.rollout.as_str(), self.place.version);
                reader.rows().facts(after, (self.tenant.as_ref(), self.rollout.as_ref()), PAGE).await?
            };
            let is_all = i64::try_from(rows.len()).is_ok_and(|length| length < PAGE);
            self.take(rows);
            if is_all {
                self.go_back();
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, rows: Vec<FactRow>) {
        for row in rows {
            let place = Place::of(&row.entry);
            self.newest = self.newest.max(place.at);
            if self.sent.insert(place.clone()) {
                self.ready.push_back(row);
            }
            self.place = place;
        }
    }

    /// Everything was read: the next look begins before the newest entry, or before now where a clock was ahead.
    fn go_back(&mut self) {
        self.place = Place::at(At(self.newest.min(self.core.clock.now()).0 - BACK_MS));
        self.sent = self.sent.split_off(&self.place);
    }
}
