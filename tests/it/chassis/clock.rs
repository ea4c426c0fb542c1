//! The one door to time.

use std::time::Duration;

use ::chassis::Clock;
use rollout::At;

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
