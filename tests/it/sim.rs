//! The simulation (RELIABILITY section 7): the code of the services under a seeded scheduler. The broker drops, repeats, delays and
//! reorders; processes die at every named place and between any two operations; the target and the candidate fail; clocks differ.
//! When everything has come to rest, the database is read by the checker that also reads those of real processes.
//!
//! `TIDEGATE_SEED` runs one seed and prints its story; `TIDEGATE_SEEDS` says how many there are.

#![expect(clippy::print_stdout, reason = "what went wrong on the way, and the seed, are part of what a run says")]

mod broker;
mod draw;
mod fate;
pub(crate) mod people;
mod target;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use rollout::WhenLive;
use serde_json::json;
use tempfile::TempDir;

use crate::checker::violations;
use fate::Shared as Fate;
use world::{World, copy_of, shared_memory};

/// No seed takes longer, unless somebody waits for nobody.
const LIMIT: Duration = Duration::from_secs(60);
/// Seeds of one test.
const SEEDS: u64 = 100;

/// A database in which version 1 serves, and 2 and 3 are registered.
async fn begun() -> TempDir {
    let folder = tempfile::tempdir_in(shared_memory()).unwrap();
    let fate = Fate::begin(0);
    fate.fate.borrow_mut().is_quiet = true;
    let mut world = World::begin(folder.path(), fate).await;
    world.say(people::registered()).await;
    for version in ["1", "2", "3"] {
        world.say(people::version(version)).await;
    }
    world.rest().await;
    world.promote("1", json!("activate"), WhenLive::Reject).await;
    world.rest().await;
    world.end().await;
    folder
}

/// One seed: what is wrong in the end, what went wrong on the way, and its story.
async fn run(begun: &TempDir, seed: u64) -> (Vec<String>, BTreeMap<&'static str, u64>, Vec<String>) {
    let folder = copy_of(begun);
    let fate = Fate::begin(seed);
    let mut world = World::begin(folder.path(), fate.clone()).await;
    world.suffer().await;
    world.rest().await;
    let story = std::mem::take(&mut world.story);
    let mut wrong = world.end().await;
    wrong.extend(violations(folder.path()).await);
    // A message that five deaths in a row had in hand looks as if it had killed them: nobody follows it then.
    let is_parked = |what: &String| what.starts_with("parked ") && what.contains("kills_us");
    if wrong.iter().any(is_parked) {
        wrong.retain(|what| !is_parked(what) && !what.starts_with("version "));
    }
    let faults = std::mem::take(&mut fate.fate.borrow_mut().faults);
    (wrong, faults, story)
}

/// Runs the seeds from `first` on, or the one that is named.
async fn run_all(first: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let only = number("TIDEGATE_SEED");
    let seeds = only.map_or(first..first + number("TIDEGATE_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let begun = begun().await;
    let mut all = BTreeMap::<_, u64>::new();
    for seed in seeds.clone() {
        let run = tokio::time::timeout(LIMIT, run(&begun, seed)).await;
        let (wrong, faults, story) = run.unwrap_or_else(|_| panic!("TIDEGATE_SEED={seed} hangs"));
        faults.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
        if only.is_some() || !wrong.is_empty() {
            println!("{}", story.join("\n"));
        }
        assert!(wrong.is_empty(), "TIDEGATE_SEED={seed}: {wrong:#?}");
    }
    println!("{} seeds, {} faults: {all:#?}", seeds.count(), all.values().sum::<u64>());
}

/// Breaks the design and gives what the checker has against it, from the first seed where it sees that.
async fn found_broken(switch: &'static str) -> Vec<String> {
    let begun = begun().await;
    chassis::failpoint::break_design(switch);
    for seed in 1..=SEEDS {
        let (wrong, ..) = tokio::time::timeout(LIMIT, run(&begun, seed)).await.unwrap();
        if !wrong.is_empty() {
            println!("{switch} is seen with seed {seed}: {wrong:#?}");
            return wrong;
        }
    }
    panic!("{SEEDS} seeds and nobody saw {switch}");
}

#[tokio::test]
async fn a_message_that_is_handled_twice_is_seen() {
    let wrong = found_broken("no_dedupe").await;
    assert!(wrong.iter().any(|what| what.contains("twice")), "{wrong:#?}");
}

#[tokio::test]
async fn a_message_that_is_marked_first_is_seen() {
    let wrong = found_broken("mark_first").await;
    assert!(wrong.iter().any(|what| what.contains("lost")), "{wrong:#?}");
}

#[tokio::test]
async fn whatever_goes_wrong_nothing_is_lost_doubled_or_early() {
    run_all(1).await;
}

/// On another core.
#[tokio::test]
async fn whatever_else_goes_wrong_nothing_is_lost_doubled_or_early() {
    run_all(1_000_001).await;
}
