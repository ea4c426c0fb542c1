//! The in-process arm (RELIABILITY section 1.7): the stream is the outbox rows, published means committed, and what a
//! consumer's service has no inbox row for is not handled yet. Memory is bounded because consumers read rows, not queues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::RolloutCommand;
use proto::subject::fits;
use store::{BusValue, Outgoing, Placed, Rows, Said, Store, Tx};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use super::stops::{Heard, STOPS_MAX, Stops};
use super::{Backlog, Bucket, Entry, Error, Handle, OURS_FOR_MS, Received, Values};
use crate::by_hand::Handed;
use crate::clock::Clock;
use crate::consumers::Consumer;
use crate::failpoint;

/// Rows read at once.
const BATCH: usize = 100;
/// A wake-up that got lost, which none should, costs at most this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Rows of a backlog that are counted; what is behind them is no news.
const BACKLOG_MAX: i64 = 20_000;

/// A bus within one process.
#[derive(Debug, Clone)]
pub struct InProcess {
    store: Store,
    clock: Clock,
    /// The last position when the process started: what is older may have been in hand at a death.
    born_at: i64,
    consumers: Arc<Mutex<Vec<Arc<Place>>>>,
    commits: Arc<watch::Sender<i64>>,
    buckets: Arc<BTreeMap<Bucket, watch::Sender<Values>>>,
    putting: Arc<tokio::sync::Mutex<()>>,
    stops: broadcast::Sender<Heard>,
    /// Where commits go that somebody else publishes.
    handed: Option<Handed>,
}

/// Where a consumer stands.
#[derive(Debug)]
struct Place {
    name: &'static str,
    filters: &'static [&'static str],
    lane: &'static str,
    in_hand_max: usize,
    progress: Mutex<Progress>,
    wake: Notify,
}

/// What a consumer has read, and what of it is not settled yet: the sweep must not take that away.
#[derive(Debug, Default)]
struct Progress {
    read: i64,
    in_hand: BTreeSet<i64>,
    given_back: Vec<GivenBack>,
}

/// A row that comes again.
#[derive(Debug, Clone, Copy)]
struct GivenBack {
    position: i64,
    deliveries: u32,
    due: Instant,
}

impl InProcess {
    pub(super) async fn open(store: Store, clock: Clock) -> Result<Self, store::Error> {
        let mut reader = store.reader().await?;
        let mut buckets = BTreeMap::new();
        for bucket in Bucket::ALL {
            let kept = if bucket.is_kept() { reader.rows().bus_values(bucket.name()).await? } else { Vec::new() };
            buckets.insert(bucket, watch::channel(values(kept)).0);
        }
        let born_at = reader.rows().last_position().await?;
        drop(reader);
        Ok(Self {
            store,
            clock,
            born_at,
            consumers: Arc::default(),
            commits: Arc::new(watch::channel(0).0),
            buckets: Arc::new(buckets),
            putting: Arc::default(),
            stops: broadcast::channel(STOPS_MAX).0,
            handed: None,
        })
    }

    pub(super) fn subscribe(&self, consumer: &Consumer) -> Subscription {
        let place = Arc::new(Place {
            name: consumer.name,
            filters: consumer.filters,
            lane: lane(consumer.filters),
            in_hand_max: usize::try_from(consumer.in_hand_max).unwrap_or(usize::MAX),
            progress: Mutex::default(),
            wake: Notify::new(),
        });
        self.places().push(Arc::clone(&place));
        Subscription { store: self.store.clone(), born_at: self.born_at, place }
    }

    /// Its commits are no publications.
    pub(super) fn handing_over(self, handed: Handed) -> Self {
        Self { handed: Some(handed), ..self }
    }

    pub(super) async fn say(&self, tx: &mut Tx, messages: &[Outgoing]) -> Result<Vec<(i64, String)>, store::Error> {
        match &self.handed {
            Some(_) => tx.say_to_relay(messages, self.clock.now().plus_ms(OURS_FOR_MS)).await,
            None => tx.say(messages).await,
        }
    }

    pub(super) fn announce(&self, said: &[Placed]) {
        if let Some(handed) = &self.handed {
            handed.give(said);
        }
        for place in self.places().iter() {
            if said.iter().any(|placed| place.takes(&placed.message.subject)) {
                place.wake.notify_one();
            }
        }
        self.commits.send_modify(|count| *count += 1);
    }

    pub(super) async fn begin(&self) -> Result<Tx, store::Error> {
        self.store.begin().await
    }

    pub(super) fn commits(&self) -> watch::Receiver<i64> {
        self.commits.subscribe()
    }

    pub(super) fn watch(&self, bucket: Bucket) -> watch::Receiver<Values> {
        self.buckets[&bucket].subscribe()
    }

    pub(super) async fn put(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        let sender = &self.buckets[&bucket];
        if !bucket.is_kept() {
            return Ok(swap(sender, key, entry));
        }
        let _one_at_a_time = self.putting.lock().await;
        if sender.borrow().get(key).map_or(0, |there| there.revision) != entry.revision {
            return Ok(None);
        }
        let mut tx = self.store.begin().await?;
        let value = BusValue { key: key.to_owned(), revision: entry.revision, value: entry.value.clone() };
        if !tx.put_bus_value(bucket.name(), &value, self.clock.now()).await? {
            // A commit of which we never heard the end has won after all: without its value every later put would lose.
            sender.send_replace(values(tx.rows().bus_values(bucket.name()).await?));
            return Ok(None);
        }
        kept(tx).await?;
        Ok(swap(sender, key, entry))
    }

    pub(super) async fn set(&self, bucket: Bucket, key: &str, value: String) -> Result<(), Error> {
        loop {
            let revision = self.watch(bucket).borrow().get(key).map_or(0, |entry| entry.revision);
            if self.put(bucket, key, Entry { revision, value: value.clone() }).await?.is_some() {
                return Ok(());
            }
        }
    }

    pub(super) fn stop(&self, command: &RolloutCommand) {
        // Without a listener there is no router to be told.
        let _ = self.stops.send(Heard::Stop(Box::new(command.clone())));
    }

    pub(super) fn stops(&self) -> Stops {
        Stops::new(self.stops.subscribe())
    }

    pub(super) async fn put_first(&self, bucket: Bucket, key: &str, entry: Entry) -> Result<Option<i64>, Error> {
        let Some(put) = swap(&self.buckets[&bucket], key, entry.clone()) else { return Ok(None) };
        let _one_at_a_time = self.putting.lock().await;
        let mut tx = self.store.begin().await?;
        let value = BusValue { key: key.to_owned(), revision: entry.revision, value: entry.value };
        // Lost means that a newer value is kept already.
        if tx.put_bus_value(bucket.name(), &value, self.clock.now()).await? {
            kept(tx).await?;
        }
        Ok(Some(put))
    }

    pub(super) fn passed(&self) -> i64 {
        self.places().iter().map(|place| place.passed()).min().unwrap_or(0)
    }

    pub(super) fn is_looking(&self) -> bool {
        self.passed() < self.born_at
    }

    /// At most so many rows are looked at as the page of metrics can bear.
    pub(super) async fn backlog(&self, rows: &mut Rows<'_>) -> Result<Backlog, store::Error> {
        let said = rows.subjects_after(self.passed(), BACKLOG_MAX).await?;
        let places = self.places();
        let mut backlog = Backlog { lag: places.iter().map(|place| (place.name, 0)).collect(), ..Backlog::default() };
        for (position, subject, said_at) in &said {
            let mut is_waiting = false;
            for (place, (_, lag)) in places.iter().zip(&mut backlog.lag) {
                if place.waits_for(*position, subject) {
                    *lag += 1;
                    is_waiting = true;
                }
            }
            if is_waiting {
                backlog.waiting += 1;
                backlog.oldest = backlog.oldest.or(Some(*said_at));
            }
        }
        Ok(backlog)
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Place>>> {
        self.consumers.lock().expect("no holder of the consumers panics")
    }
}

/// Commits a value of a bucket.
async fn kept(tx: Tx) -> Result<(), store::Error> {
    let _ = failpoint::reach("bucket_before_commit").await;
    tx.commit().await?;
    let _ = failpoint::reach("bucket_after_commit").await;
    Ok(())
}

/// Puts a value into memory at the revision read; gives the new one, or none when another one was quicker.
fn swap(sender: &watch::Sender<Values>, key: &str, entry: Entry) -> Option<i64> {
    let revision = entry.revision + 1;
    let is_put = sender.send_if_modified(|values| {
        if values.get(key).map_or(0, |there| there.revision) != entry.revision {
            return false;
        }
        values.insert(key.to_owned(), Entry { revision, value: entry.value });
        true
    });
    is_put.then_some(revision)
}

impl Place {
    fn takes(&self, subject: &str) -> bool {
        self.filters.iter().any(|filter| fits(filter, subject))
    }

    fn waits_for(&self, position: i64, subject: &str) -> bool {
        let progress = self.progress();
        if position > progress.read { self.takes(subject) } else { progress.in_hand.contains(&position) }
    }

    /// The position that was read last, and how many more may be in hand.
    fn room(&self) -> (i64, usize) {
        let progress = self.progress();
        (progress.read, self.in_hand_max.saturating_sub(progress.in_hand.len()))
    }

    /// What comes again now.
    fn due(&self) -> Vec<GivenBack> {
        let now = Instant::now();
        self.progress().given_back.iter().filter(|given_back| given_back.due <= now).copied().collect()
    }

    fn look_again(&self) -> Instant {
        let first = self.progress().given_back.iter().map(|given_back| given_back.due).min();
        (Instant::now() + LOOK_AGAIN).min(first.unwrap_or_else(|| Instant::now() + LOOK_AGAIN))
    }

    fn passed(&self) -> i64 {
        let progress = self.progress();
        progress.in_hand.first().map_or(progress.read, |oldest| oldest - 1)
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder of the progress panics")
    }
}

/// A consumer's end of the bus.
#[derive(Debug)]
pub(crate) struct Subscription {
    store: Store,
    born_at: i64,
    place: Arc<Place>,
}

/// A row that a consumer has in hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    place: Arc<Place>,
    position: i64,
    deliveries: u32,
}

impl Held {
    pub(super) const fn deliveries(&self) -> u32 {
        self.deliveries
    }

    pub(super) fn settled(&self) {
        let mut progress = self.place.progress();
        let was_full = progress.in_hand.len() >= self.place.in_hand_max;
        progress.in_hand.remove(&self.position);
        if was_full {
            self.place.wake.notify_one();
        }
    }

    pub(super) fn give_back(&self, delay: Duration) {
        let again = GivenBack { position: self.position, deliveries: self.deliveries + 1, due: Instant::now() + delay };
        self.place.progress().given_back.push(again);
        self.place.wake.notify_one();
    }
}

impl Subscription {
    /// The next messages, once there are any; after a start, from the oldest row that is kept. Each is in hand until it is
    /// settled.
    pub(super) async fn next(&self) -> Result<Vec<Received>, store::Error> {
        loop {
            let again = self.given_back().await?;
            if !again.is_empty() {
                return Ok(failpoint::deliver(self.place.name, again));
            }
            let (read, room) = self.place.room();
            let (end, rows) = if room > 0 { self.read_after(read, room).await? } else { (read, Vec::new()) };
            let is_empty = rows.is_empty();
            let mine: Vec<Said> = rows.into_iter().filter(|row| self.place.takes(&row.subject)).collect();
            {
                let mut progress = self.place.progress();
                progress.in_hand.extend(mine.iter().map(|row| row.position));
                progress.read = end;
            }
            if !mine.is_empty() {
                let deliveries = |row: &Said| if row.position <= self.born_at { 2 } else { 1 };
                let received = mine.into_iter().map(|row| self.received(deliveries(&row), row)).collect();
                return Ok(failpoint::deliver(self.place.name, received));
            }
            if is_empty {
                let _ = tokio::time::timeout_at(self.place.look_again(), self.place.wake.notified()).await;
            }
        }
    }

    /// What was given back, and whose time has come.
    async fn given_back(&self) -> Result<Vec<Received>, store::Error> {
        let due = self.place.due();
        let mut again = Vec::with_capacity(due.len());
        for GivenBack { position, deliveries, .. } in due {
            let rows = self.store.reader().await?.rows().said_after(position - 1, "", 1).await?;
            let found = rows.into_iter().filter(|row| row.position == position);
            again.extend(found.map(|row| self.received(deliveries, row)));
            self.place.progress().given_back.retain(|given_back| given_back.position != position);
        }
        Ok(again)
    }

    /// Some rows of the consumer's lane, and the position up to which there are no others of it. Where there seem to be none, the
    /// stream's end is read before they are looked for again: what is committed between the two reads is behind it.
    async fn read_after(&self, read: i64, room: usize) -> Result<(i64, Vec<Said>), store::Error> {
        let limit = i64::try_from(room.min(BATCH)).unwrap_or(i64::MAX);
        let mut reader = self.store.reader().await?;
        let mut rows = reader.rows().said_after(read, self.place.lane, limit).await?;
        let mut end = read;
        if rows.is_empty() {
            end = reader.rows().last_position().await?.max(read);
            rows = reader.rows().said_after(read, self.place.lane, limit).await?;
        }
        Ok((rows.last().map_or(end, |last| last.position), rows))
    }

    fn received(&self, deliveries: u32, row: Said) -> Received {
        let held = Held { place: Arc::clone(&self.place), position: row.position, deliveries };
        Received {
            subject: row.subject,
            headers: row.headers,
            body: row.body.into(),
            said_at: row.created_at,
            place: row.position.to_string(),
            put_by: (format!("/tidegate/{}", row.service), row.message_id),
            handle: Handle::InProcess(held),
        }
    }
}

/// What the subjects of a consumer begin with: a consumer belongs to one stream, and most rows are none of it.
fn lane(filters: &'static [&'static str]) -> &'static str {
    let end = |filter: &str| filter.match_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
    let lane = filters.first().map_or("", |filter| &filter[..end(filter)]);
    if filters.iter().all(|filter| filter.starts_with(lane)) { lane } else { "" }
}

fn values(kept: Vec<BusValue>) -> Values {
    kept.into_iter().map(|kept| (kept.key, Entry { revision: kept.revision, value: kept.value })).collect()
}
