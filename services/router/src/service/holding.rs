//! Holding candidates back, in tasks of their own: neither an ended lease nor a stop waits for the adoption of other routes, which
//! waits for the disk.

use std::time::Duration;

use chassis::Heard;

use super::Life;
use super::feed::Feed;
use super::words::Words;
use crate::routes::Routes;

/// Beats and leases are looked at this often: a lease that is over costs at most this more.
const LEASE_AGAIN: Duration = Duration::from_millis(250);
/// What could not be saved is tried again this often.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// Ends leases until the process stops, and has it said.
pub(super) async fn leases(life: Life, routes: Routes, (feed, words): (Feed, Words)) {
    let mut look = tokio::time::interval(LEASE_AGAIN);
    loop {
        tokio::select! { _ = look.tick() => {}, () = life.stop.cancelled() => return }
        let (routes, feed, words) = (routes.clone(), feed.clone(), words.clone());
        // The next look must not wait for the disk of this one: a lease ends there while the disk hangs.
        life.tasks.spawn(async move {
            feed.hear(&routes).await;
            routes.end_leases().await.iter().for_each(|route| words.say_first(route));
        });
    }
}

/// Saves again what a disk did not take, until the process stops, and has it said.
pub(super) async fn saves(life: Life, routes: Routes, words: Words) {
    let mut save = tokio::time::interval(SAVE_AGAIN);
    loop {
        let held = tokio::select! {
            held = async { save.tick().await; routes.save_again().await } => held,
            () = life.stop.cancelled() => return,
        };
        held.iter().for_each(|route| words.say_first(route));
    }
}

/// Holds stopped rollouts until the process stops: at once on hearing of one, and said when it is on disk.
pub(super) async fn stops(life: Life, routes: Routes, (feed, words): (Feed, Words)) {
    // What the control plane stops comes with the value of its route.
    let Some(mut stops) = feed.stops() else { return };
    loop {
        let heard = tokio::select! { heard = stops.next() => heard, () = life.stop.cancelled() => return };
        match heard {
            Some(Heard::Stop(command)) => {
                let (routes, words) = (routes.clone(), words.clone());
                // The next stop must not wait for the disk of this one.
                life.tasks.spawn(async move {
                    let held = routes.stop(&command.tenant, &command.model, &command.rollout_id).await;
                    held.iter().for_each(|route| words.say_first(route));
                });
            }
            // The value of the route says it too.
            Some(Heard::Gap) => {}
            None => return,
        }
    }
}
