//! What this process knows of one bucket: the values as they were last read, what it put itself since, and when each is over.
//!
//! A revision that was seen is never silently followed by an older one. What a reading from the start finds takes the place of
//! everything, but not of a value that was put while it went on; where the server has gone back, that is said and counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::bus::{Bucket, Entry, Values};
use crate::metrics::Metrics;

/// What this process knows of one bucket.
#[derive(Debug)]
pub(super) struct Kept {
    bucket: Bucket,
    metrics: Metrics,
    values: watch::Sender<Values>,
    is_filled: watch::Sender<bool>,
    /// The bucket has to be read from the start again.
    pub(super) again: Notify,
    clocks: Mutex<Clocks>,
}

#[derive(Debug, Default)]
struct Clocks {
    /// How long the server keeps a value; zero: for ever.
    age: Duration,
    /// When each value was put, as far as this process knows.
    put_at: BTreeMap<String, Instant>,
    /// What was put while the bucket is being read; none when it is not.
    meanwhile: Option<BTreeMap<String, Entry>>,
}

impl Kept {
    pub(super) fn new(bucket: Bucket, is_watched: bool, metrics: &Metrics) -> Self {
        Self {
            bucket,
            metrics: metrics.clone(),
            values: watch::channel(Values::default()).0,
            is_filled: watch::channel(!is_watched).0,
            again: Notify::new(),
            clocks: Mutex::default(),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Values> {
        self.values.subscribe()
    }

    /// Ends once the bucket was read; at once where nobody reads it.
    pub(super) async fn filled(&self) {
        // The sender is not dropped as long as we are here.
        let _ = self.is_filled.subscribe().wait_for(|is_filled| *is_filled).await;
    }

    /// A reading from the start begins.
    pub(super) fn begin(&self, age: Duration) {
        let mut clocks = self.clocks();
        (clocks.age, clocks.meanwhile) = (age, Some(BTreeMap::new()));
    }

    /// A reading from the start has found this, each with its age, in a bucket whose last revision is `last`.
    pub(super) fn fill(&self, found: BTreeMap<String, (Entry, Duration)>, last: i64, now: Instant) {
        let mut clocks = self.clocks();
        let put_at = |age: Duration| now.checked_sub(age).unwrap_or(now);
        clocks.put_at = found.iter().map(|(key, (_, age))| (key.clone(), put_at(*age))).collect();
        let mut found: Values = found.into_iter().map(|(key, (entry, _))| (key, entry)).collect();
        for (key, entry) in clocks.meanwhile.take().unwrap_or_default() {
            if found.get(&key).is_none_or(|there| there.revision < entry.revision) {
                clocks.put_at.insert(key.clone(), now);
                found.insert(key, entry);
            }
        }
        let last = found.values().map(|entry| entry.revision).fold(last, i64::max);
        let known = Values::clone(&self.values.borrow());
        self.tell_if_back(&known, &found, last);
        self.values.send_if_modified(|values| {
            let is_other = *values != found;
            if is_other {
                *values = found;
            }
            is_other
        });
        self.is_filled.send_replace(true);
    }

    /// The watcher, or an acknowledgement of our own, says that this stands there now; what is older than that is not taken.
    pub(super) fn took(&self, key: &str, entry: Entry, now: Instant) {
        let mut clocks = self.clocks();
        if let Some(meanwhile) = &mut clocks.meanwhile
            && meanwhile.get(key).is_none_or(|there| there.revision < entry.revision)
        {
            meanwhile.insert(key.to_owned(), entry.clone());
        }
        let is_newer = |values: &Values| values.get(key).is_none_or(|there| there.revision < entry.revision);
        if is_newer(&self.values.borrow()) {
            clocks.put_at.insert(key.to_owned(), now);
            self.values.send_modify(|values| drop(values.insert(key.to_owned(), entry)));
        }
    }

    /// The watcher says that the value went away at this revision.
    pub(super) fn went(&self, key: &str, revision: i64) {
        let is_gone = |values: &Values| values.get(key).is_some_and(|there| there.revision < revision);
        if is_gone(&self.values.borrow()) {
            self.remove(&[key.to_owned()]);
        }
    }

    /// The server was asked for this key, and has this. Where that is older than what we know, everything is read again: see
    /// [`Kept::filled`].
    pub(super) fn asked(&self, key: &str, found: Option<Entry>, now: Instant) {
        let known = self.values.borrow().get(key).map(|there| there.revision);
        match found {
            Some(entry) if known.is_none_or(|known| known <= entry.revision) => self.took(key, entry, now),
            None if known.is_none() => {}
            None if !self.clocks().age.is_zero() => self.remove(&[key.to_owned()]),
            _ => {
                self.is_filled.send_replace(false);
                self.again.notify_one();
            }
        }
    }

    /// How long ago the value was put.
    pub(super) fn age(&self, key: &str, now: Instant) -> Option<Duration> {
        self.clocks().put_at.get(key).map(|at| now.saturating_duration_since(*at))
    }

    /// Whether the value was put so lately that nobody need put it again to keep it.
    pub(super) fn is_fresh(&self, key: &str, now: Instant) -> bool {
        let kept_for = self.clocks().age;
        self.age(key, now).is_some_and(|age| kept_for.is_zero() || age < kept_for / 3)
    }

    /// Takes away what the server has forgotten by now, of which it tells nobody; gives when to look again.
    pub(super) fn forget(&self, now: Instant) -> Option<Instant> {
        let clocks = self.clocks();
        let (age, put_at) = (clocks.age, clocks.put_at.clone());
        drop(clocks);
        if age.is_zero() {
            return None;
        }
        let over = |at: &Instant| now.saturating_duration_since(*at) >= age;
        let old: Vec<_> = put_at.iter().filter(|(_, at)| over(at)).map(|(key, _)| key.clone()).collect();
        if !old.is_empty() {
            self.remove(&old);
        }
        put_at.values().filter(|at| !over(at)).min().map(|first| *first + age)
    }

    fn remove(&self, keys: &[String]) {
        let mut clocks = self.clocks();
        self.values.send_if_modified(|values| {
            let there: Vec<_> = keys.iter().filter(|key| values.contains_key(key.as_str())).collect();
            if there.is_empty() {
                return false;
            }
            for key in there {
                values.remove(key);
            }
            true
        });
        for key in keys {
            clocks.put_at.remove(key);
        }
    }

    /// Says that an older state of the server's disk came back.
    fn tell_if_back(&self, known: &Values, found: &Values, last: i64) {
        let is_older = |(key, known): &(&String, &Entry)| {
            known.revision > last || found.get(*key).is_some_and(|found| found.revision < known.revision)
        };
        let older = if self.bucket.is_kept() { known.iter().filter(is_older).count() } else { 0 };
        if older > 0 {
            let name = self.bucket.name();
            tracing::error!(
                "{older} values of the bucket {name} went back to older ones: the nats-server has lost what it had acknowledged"
            );
            self.metrics.broker_went_back();
        }
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().expect("no holder of the clocks panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: i64) -> Entry {
        Entry { revision, value: revision.to_string() }
    }

    fn found(revisions: &[(&str, i64)]) -> BTreeMap<String, (Entry, Duration)> {
        revisions.iter().map(|(key, revision)| ((*key).to_owned(), (entry(*revision), Duration::ZERO))).collect()
    }

    /// A bucket that was read, and held this.
    fn kept(age: Duration, revisions: &[(&str, i64)], now: Instant) -> Kept {
        let kept = Kept::new(Bucket::Route, true, &Metrics::default());
        kept.begin(age);
        kept.fill(found(revisions), 100, now);
        kept
    }

    fn revision(kept: &Kept, key: &str) -> Option<i64> {
        kept.watch().borrow().get(key).map(|entry| entry.revision)
    }

    fn went_back(kept: &Kept) -> bool {
        !kept.metrics.counters().contains("tidegate_broker_went_back_total 0\n")
    }

    #[test]
    fn what_is_older_than_what_is_known_is_not_taken() {
        let (now, forever) = (Instant::now(), Duration::ZERO);
        let kept = kept(forever, &[("k", 5)], now);
        for older in [3, 5] {
            kept.took("k", Entry { value: "other".to_owned(), ..entry(older) }, now);
            kept.went("k", older);
        }
        assert_eq!(*kept.watch().borrow().get("k").unwrap(), entry(5));
        kept.took("k", entry(6), now);
        assert_eq!(revision(&kept, "k"), Some(6));
        kept.went("k", 7);
        assert_eq!(revision(&kept, "k"), None);
    }

    #[test]
    fn what_was_put_while_the_bucket_is_read_stays() {
        let now = Instant::now();
        let kept = kept(Duration::ZERO, &[("k", 5)], now);
        kept.begin(Duration::ZERO);
        kept.took("k", entry(102), now);
        kept.took("new", entry(103), now);
        kept.fill(found(&[("k", 101)]), 101, now);
        assert_eq!((revision(&kept, "k"), revision(&kept, "new")), (Some(102), Some(103)));
        assert!(!went_back(&kept));
    }

    #[test]
    fn a_bucket_that_went_back_is_followed_and_counted() {
        let now = Instant::now();
        for (there, last) in [(&[("k", 90)][..], 100), (&[], 40)] {
            let kept = kept(Duration::ZERO, &[("k", 99)], now);
            kept.begin(Duration::ZERO);
            kept.fill(found(there), last, now);
            assert_eq!(revision(&kept, "k"), there.first().map(|(_, revision)| *revision));
            assert!(went_back(&kept));
        }
    }

    #[tokio::test]
    async fn an_answer_makes_the_values_newer_or_has_them_read_again() {
        let now = Instant::now();
        let kept = kept(Duration::ZERO, &[("k", 50)], now);
        kept.asked("k", Some(entry(60)), now);
        assert_eq!(revision(&kept, "k"), Some(60));
        for older in [Some(entry(55)), None] {
            kept.asked("k", older, now);
            kept.again.notified().await;
            assert!(!*kept.is_filled.borrow());
            kept.fill(found(&[("k", 60)]), 100, now);
            kept.filled().await;
        }
    }

    #[test]
    fn values_end_with_their_age_and_not_before() {
        let (start, age) = (Instant::now(), Duration::from_secs(60));
        let kept = kept(age, &[("k", 5), ("other", 6)], start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(kept.forget(at(30)), Some(at(60)));
        kept.took("other", entry(7), at(40));
        assert!(!kept.is_fresh("k", at(40)) && kept.is_fresh("other", at(59)) && !kept.is_fresh("other", at(60)));
        // Read again, and no younger for that.
        kept.begin(age);
        let old = |revision, seconds| (entry(revision), Duration::from_secs(seconds));
        let found = [("k".to_owned(), old(5, 50)), ("other".to_owned(), old(7, 10))];
        kept.fill(found.into(), 100, at(50));
        assert_eq!(kept.age("other", at(55)), Some(Duration::from_secs(15)));
        assert_eq!(kept.forget(at(60)), Some(at(100)));
        assert_eq!((revision(&kept, "k"), revision(&kept, "other")), (None, Some(7)));
    }
}
