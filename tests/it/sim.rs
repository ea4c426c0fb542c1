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
mod slate;
mod target;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollout::{At, WhenLive};
use serde_json::json;
use store::Store;

use broker::Broker;
use fate::Shared as Fate;
use slate::Slate;
use world::World;

/// No seed takes longer, unless somebody waits for nobody.
const LIMIT: Duration = Duration::from_secs(60);
/// When it all begins.
const BEGIN: At = At(1_800_000_000_000);
/// Behind whatever else wants a processor.
const NICEST: i32 = 19;
/// Seeds of one test.
const SEEDS: u64 = 1_000;
/// So many faults a seed are the least, all in all.
const FAULTS_OF_A_SEED: u64 = 50;
/// Every way in which a rollout can end: faults must not be so many that nothing goes through.
const ENDS: [&str; 5] = ["cancelled", "completed", "rejected", "rolled_back", "superseded"];

type Counts = BTreeMap<&'static str, u64>;

/// Where every seed begins.
struct Begun {
    slate: Slate,
    broker: Broker,
}

/// What came of a seed.
struct Run {
    /// What is wrong in the end.
    wrong: Vec<String>,
    /// What went wrong on the way.
    faults: Counts,
    /// How its rollouts ended.
    ends: Counts,
    story: Vec<String>,
}

/// A database in which version 1 serves, and 2 and 3 are registered.
async fn begun() -> Begun {
    let folder = tempfile::tempdir_in(shared_memory()).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let fate = Fate::begin(0);
    fate.fate().is_quiet = true;
    let mut world = World::begin(&store, Broker::new(BEGIN), fate).await;
    world.say(people::registered()).await;
    for version in ["1", "2", "3"] {
        world.say(people::version(version)).await;
    }
    world.rest().await;
    world.promote("1", json!("activate"), WhenLive::Reject).await;
    world.rest().await;
    let broker = world.broker();
    drop(world);
    Begun { slate: Slate::keep(store, folder).await, broker }
}

/// A place without a disk, where there is one: nothing here is about power cuts.
fn shared_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// One seed.
async fn run(begun: &mut Begun, seed: u64) -> Run {
    begun.slate.wipe().await;
    let fate = Fate::begin(seed);
    let mut world = World::begin(&begun.slate.store, begun.broker.clone(), fate.clone()).await;
    world.suffer().await;
    world.rest().await;
    let (story, ends) = (std::mem::take(&mut world.story), world.ends().await);
    let mut wrong = world.wrong().await;
    // A message that five deaths in a row had in hand looks as if it had killed them: nobody follows it then, and a promote whose
    // request is among them never becomes a rollout.
    let is_parked = |what: &String| what.starts_with("parked ") && what.contains("kills_us");
    if wrong.iter().any(is_parked) {
        let follows =
            |what: &String| what.starts_with("version ") || what.contains("is marked as applied without its effect");
        wrong.retain(|what| !is_parked(what) && !follows(what));
    }
    // Clocks are set back here, so which of two rollouts was first can't be read from their logs; `rollout_one_live` holds it.
    wrong.retain(|what| !what.contains(" began while "));
    let faults = std::mem::take(&mut fate.fate().faults);
    Run { wrong, faults, ends, story }
}

/// Runs the seeds from `first` on, or the one that is named, on the processor of this number.
async fn run_all(first: u64, processor: usize) {
    stay_on(processor);
    // No clock of the machine is read here, so it takes what others leave.
    rustix::process::nice(NICEST).unwrap();
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let only = number("TIDEGATE_SEED");
    let seeds = only.map_or(first..first + number("TIDEGATE_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let mut begun = begun().await;
    let (mut faults, mut ends) = (Counts::new(), Counts::new());
    for seed in seeds.clone() {
        let run = tokio::time::timeout(LIMIT, run(&mut begun, seed)).await;
        let run = run.unwrap_or_else(|_| panic!("TIDEGATE_SEED={seed} hangs"));
        run.faults.into_iter().for_each(|(what, count)| *faults.entry(what).or_default() += count);
        run.ends.into_iter().for_each(|(what, count)| *ends.entry(what).or_default() += count);
        if only.is_some() || !run.wrong.is_empty() {
            println!("{}", run.story.join("\n"));
        }
        assert!(run.wrong.is_empty(), "TIDEGATE_SEED={seed}: {:#?}", run.wrong);
    }
    let (seeds, sum) = (seeds.end - seeds.start, faults.values().sum::<u64>());
    println!("simulated {seeds} seeds with {sum} faults: {faults:?}; rollouts: {ends:?}");
    if seeds >= SEEDS {
        assert!(sum >= seeds * FAULTS_OF_A_SEED, "too few faults");
        assert!(ENDS.iter().all(|end| ends.contains_key(end)), "some rollouts never end in that way");
    }
}

/// Every query goes to SQLite's thread and back, and what one thread tells another costs twice as much between two processors: both
/// stay on one.
fn stay_on(processor: usize) {
    let all = rustix::thread::sched_getaffinity(None).unwrap();
    let allowed: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
    let mut one = rustix::thread::CpuSet::new();
    one.set(allowed[processor % allowed.len()]);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

/// Breaks the design and gives what the checker has against it, from the first seed where it sees that.
async fn found_broken(switch: &'static str) -> Vec<String> {
    let mut begun = begun().await;
    chassis::failpoint::break_design(switch);
    for seed in 1..=SEEDS {
        let Run { wrong, .. } = tokio::time::timeout(LIMIT, run(&mut begun, seed)).await.unwrap();
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
    run_all(1, 0).await;
}

/// On another processor.
#[tokio::test]
async fn whatever_else_goes_wrong_nothing_is_lost_doubled_or_early() {
    run_all(1_000_001, 1).await;
}
