//! Fail points: named places where a test ends, fails or holds the process. They exist in debug builds only; a release build has
//! neither the places nor the switches, whatever its environment says.
//!
//! `TIDEGATE_FAILPOINT=step_before_commit:kill@3,router_before_save:pause` arms them: `kill` ends the process at once, as
//! `kill -9` does, `hold` has it stand still until it gets the signal `CONT` (`@N` behind either: when the place is reached for the
//! Nth time), `error` fails what is being done, `pause` never goes on.
//! `thrice:on` delivers every message three times, late and in random order, which the design allows.
//! `no_dedupe:on`, `mark_first:on` and `publish_last:on` break the design on purpose, so that whoever checks it can be checked.
//! `TIDEGATE_FAILPOINT_HITS` names a file that gets a line for each place that is reached.

use crate::bus::Received;
use crate::handler::Failure;

/// Every place.
pub const PLACES: &[&str] = &[
    "bucket_after_commit",
    "bucket_before_commit",
    "consumer_before_ack",
    "consumer_before_handling",
    "notifier_after_send",
    "notifier_before_send",
    "park_after_commit",
    "park_before_commit",
    "relay_before_mark",
    "relay_before_publish",
    "replay_after_commit",
    "replay_after_handling",
    "replay_before_commit",
    "replay_before_handling",
    "router_after_save",
    "router_before_save",
    "say_after_commit",
    "step_after_commit",
    "step_after_decide",
    "step_after_mark",
    "step_before_begin",
    "step_before_commit",
    "updater_after_read",
    "updater_after_stop",
    "updater_after_write",
    "updater_before_answer",
    "updater_before_read",
    "updater_before_stop",
    "updater_in_pass",
    "wheel_before_fire",
];

#[cfg(not(debug_assertions))]
mod points {
    use super::{Failure, Received};

    pub(super) fn deliver(_: &'static str, batch: Vec<Received>) -> Vec<Received> {
        batch
    }

    #[expect(clippy::unused_async, reason = "in a debug build it may wait for ever")]
    pub(super) async fn reach(_: &'static str) -> Result<(), Failure> {
        Ok(())
    }

    pub(super) fn die_where(_: Box<dyn Fn(&'static str) -> bool>) {}

    pub(super) const fn break_design(_: &'static str) {}

    pub(super) const fn is_broken(_: &str) -> bool {
        false
    }
}

#[cfg(debug_assertions)]
mod points {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use std::sync::{Mutex, OnceLock};

    use super::{Failure, PLACES, Received};

    /// What is on or off.
    const SWITCHES: &[&str] = &["mark_first", "no_dedupe", "publish_last", "thrice"];
    /// A message comes again that late: behind so many others of its consumer.
    const LATE: usize = 50;

    static POINTS: OnceLock<Option<Points>> = OnceLock::new();

    struct Points {
        armed: BTreeMap<String, String>,
        hits: Mutex<(BTreeMap<&'static str, u64>, Option<std::fs::File>)>,
        delivered: Mutex<BTreeMap<&'static str, Vec<Received>>>,
    }

    fn points() -> Option<&'static Points> {
        POINTS.get_or_init(read).as_ref()
    }

    fn read() -> Option<Points> {
        let (armed, file) = (std::env::var("TIDEGATE_FAILPOINT").ok(), std::env::var("TIDEGATE_FAILPOINT_HITS").ok());
        if armed.is_none() && file.is_none() {
            return None;
        }
        let armed = armed.unwrap_or_default();
        let armed = armed.split(',').filter(|text| !text.is_empty()).map(|text| {
            let (name, action) = text.split_once(':').unwrap_or((text, ""));
            assert!(PLACES.contains(&name) || SWITCHES.contains(&name), "there is no fail point `{name}`");
            (name.to_owned(), action.to_owned())
        });
        let armed: BTreeMap<_, _> = armed.collect();
        tracing::error!("fail points are armed: {armed:?}");
        let file = file.map(|path| std::fs::File::options().create(true).append(true).open(path));
        let file = file.transpose().expect("the file of TIDEGATE_FAILPOINT_HITS can be written");
        Some(Points { armed, hits: Mutex::new((BTreeMap::new(), file)), delivered: Mutex::default() })
    }

    type IsDeadly = Box<dyn Fn(&'static str) -> bool>;

    thread_local! {
        static DEADLY: RefCell<Option<IsDeadly>> = const { RefCell::new(None) };
        static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(super) fn break_design(switch: &'static str) {
        assert!(SWITCHES.contains(&switch), "there is no switch `{switch}`");
        BROKEN.set(Some(switch));
    }

    pub(super) fn die_where(is_deadly: IsDeadly) {
        DEADLY.set(Some(is_deadly));
    }

    pub(super) async fn reach(place: &'static str) -> Result<(), Failure> {
        if DEADLY.with_borrow(|is_deadly| is_deadly.as_ref().is_some_and(|is_deadly| is_deadly(place))) {
            std::future::pending::<()>().await;
        }
        let Some(points) = points() else { return Ok(()) };
        let hits = points.hit(place);
        match points.armed.get(place).map(String::as_str) {
            None => Ok(()),
            Some("error") => Err(Failure::Later(format!("fail point {place}"))),
            Some("pause") => std::future::pending().await,
            Some(action) => {
                let (what, nth) = action.split_once('@').unwrap_or((action, ""));
                let nth = if nth.is_empty() { hits } else { nth.parse().expect("behind `@` is a number") };
                if nth == hits {
                    end_or_hold(what);
                }
                Ok(())
            }
        }
    }

    fn end_or_hold(what: &str) {
        match what {
            "kill" => std::process::abort(),
            "hold" => {
                let me = std::process::id().to_string();
                std::process::Command::new("kill").args(["-s", "STOP", &me]).status().expect("there is a `kill`");
            }
            _ => panic!("a fail point's action is kill, hold, error or pause, and not `{what}`"),
        }
    }

    impl Points {
        fn hit(&self, place: &'static str) -> u64 {
            let mut hits = self.hits.lock().expect("no holder of the hits panics");
            let (counts, file) = &mut *hits;
            let count = counts.entry(place).or_default();
            *count += 1;
            if let Some(file) = file {
                writeln!(file, "{place}").expect("the file of TIDEGATE_FAILPOINT_HITS can be written");
            }
            *count
        }
    }

    /// Twice more and shuffled, with older ones among them.
    pub(super) fn deliver(consumer: &'static str, batch: Vec<Received>) -> Vec<Received> {
        let Some(points) = points().filter(|points| points.armed.contains_key("thrice")) else { return batch };
        let mut delivered = points.delivered.lock().expect("no holder of what was delivered panics");
        let older = delivered.entry(consumer).or_default();
        let mut again: Vec<Received> = batch.iter().chain(&batch).chain(&batch).chain(older.iter()).cloned().collect();
        older.extend(batch);
        let forgotten = older.len().saturating_sub(LATE);
        older.drain(..forgotten);
        again.sort_by_cached_key(|_| uuid::Uuid::new_v4());
        again
    }

    pub(super) fn is_broken(switch: &str) -> bool {
        BROKEN.get() == Some(switch) || points().is_some_and(|points| points.armed.contains_key(switch))
    }
}

/// The process is at `place`.
///
/// # Errors
/// When a test wants it to fail here.
pub async fn reach(place: &'static str) -> Result<(), Failure> {
    points::reach(place).await
}

/// Whatever reaches a place on this thread asks whether it is a deadly one, and then goes no further: whoever waits for it has to
/// give it up. For a simulation, which has many processes in one.
pub fn die_where(is_deadly: impl Fn(&'static str) -> bool + 'static) {
    points::die_where(Box::new(is_deadly));
}

/// Breaks the design on this thread: whoever checks a simulation can be checked.
pub fn break_design(switch: &'static str) {
    points::break_design(switch);
}

/// What a consumer gets of a batch that it reads.
pub(crate) fn deliver(consumer: &'static str, batch: Vec<Received>) -> Vec<Received> {
    points::deliver(consumer, batch)
}

/// Whether a test has broken this part of the design.
pub(crate) fn is_broken(switch: &str) -> bool {
    points::is_broken(switch)
}
