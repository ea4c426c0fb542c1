//! The one door to time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ::chassis::{Clock, Compared, Core, compare};
use rollout::At;
use store::Store;

use crate::house::eventually;

#[tokio::test]
async fn a_manual_clock_stands_until_it_is_moved_and_never_goes_back() {
    let clock = Clock::manual(At(100));
    assert_eq!(clock.now(), At(100));
    clock.move_to(At(150));
    clock.move_to(At(120));
    assert_eq!(clock.now(), At(150));
}

#[tokio::test]
async fn whoever_waits_on_a_manual_clock_is_woken_at_the_instant_and_not_before() {
    let clock = Clock::manual(At(0));
    clock.sleep_until(At(0)).await;
    let waiting = {
        let clock = clock.clone();
        tokio::spawn(async move {
            clock.sleep_until(At(10)).await;
            clock.now()
        })
    };
    tokio::task::yield_now().await;
    clock.move_to(At(9));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    clock.move_to(At(10));
    let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert_eq!(woken, At(10));
}

#[tokio::test]
async fn the_machines_clock_never_wakes_anybody_early() {
    let clock = Clock::system();
    for wait in [0, 1, 7, 20] {
        let at = clock.now().plus_ms(wait);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }
}

#[test]
fn up_to_two_seconds_are_slewed_and_more_is_a_jump() {
    let (hour, own) = (3_600_000, At(1_000_000_000));
    for (ahead, compared) in [
        (0, Compared::Keep),
        (1, Compared::Slew(1)),
        (-1, Compared::Slew(-1)),
        (2_000, Compared::Slew(2_000)),
        (-2_000, Compared::Slew(-2_000)),
        (2_001, Compared::Jump { by: 2_001 }),
        (-2_001, Compared::Jump { by: -2_001 }),
        (hour, Compared::Jump { by: hour }),
        (-hour, Compared::Jump { by: -hour }),
    ] {
        assert_eq!(compare(own, own.plus_ms(ahead)), compared, "{ahead} ms");
    }
}

/// A process whose wall clock a test sets.
struct Process {
    core: Core,
    /// How far the wall clock was set ahead.
    ahead: Arc<AtomicI64>,
    began: Instant,
    _folder: tempfile::TempDir,
}

const BEGAN: At = At(1_800_000_000_000);

impl Process {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (ahead, began) = (Arc::<AtomicI64>::default(), Instant::now());
        let set = Arc::clone(&ahead);
        let clock = Clock::beside(move || BEGAN.plus_ms(since(began) + set.load(Ordering::SeqCst)));
        let core = Core::start(store, clock).await.unwrap();
        Self { core, ahead, began, _folder: folder }
    }

    /// Sets the wall clock, and waits until so many jumps were counted.
    async fn sets(&self, by: i64, jumps: u32) {
        self.ahead.fetch_add(by, Ordering::SeqCst);
        let line = format!("tidegate_clock_jumps_total {jumps}\n");
        eventually("the jump is counted", async || self.core.metrics.counters().contains(&line)).await;
    }

    /// How far process time is ahead of the monotonic clock; on a busy machine it looks like less, never like more.
    fn own(&self) -> i64 {
        let now = self.core.clock.now();
        now.ms_since(BEGAN.plus_ms(since(self.began)))
    }
}

fn since(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_millis()).unwrap()
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_nothing_early_and_is_counted() {
    let process = Process::start().await;
    let hour = 3_600_000;
    process.sets(hour, 1).await;
    assert!((-60_000..=1).contains(&process.own()), "forwards is not followed: {}", process.own());
    process.sets(-2 * hour, 2).await;
    let behind = -hour - 60_000..=-hour + 1;
    eventually("backwards is followed", async || behind.contains(&process.own())).await;
    process.sets(hour, 3).await;
    assert!(behind.contains(&process.own()), "and stays so: {}", process.own());
    assert!(process.core.stop().await);
}

#[tokio::test]
async fn a_small_difference_is_taken_up_a_millisecond_at_a_time() {
    let process = Process::start().await;
    process.ahead.store(1_500, Ordering::SeqCst);
    eventually("process time follows", async || process.own() > 2).await;
    assert!(process.own() < 100, "{}", process.own());
    assert!(process.core.metrics.counters().contains("tidegate_clock_jumps_total 0\n"));
    assert!(process.core.stop().await);
}
