//! Deadlines: a column of a row that the wheel makes punctual. The rows here are those of a service that probes servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::chassis::{Cause, Clock, Commit, Consumer, Core, Failure, Handler, Say, Stamped, Trace, say_now, serve_handler};
use proto::{Message, RolloutCommand};
use rollout::{At, Model, RolloutId, Tenant, Verb};
use serde_json::json;
use store::{Change, Due, Rows, Store, WorkloadRow};
use tokio::sync::Semaphore;

use super::{Home, home};

const NOON: At = At(1_800_000_000_000);
/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What is decided about a row that is due; the number counts, from 1, how often it fired.
type Decide = Box<dyn Fn(WorkloadRow, usize) -> Result<Commit, Failure> + Send + Sync>;

/// A service with deadlines, which notes when each was handled.
struct Alarm<const PARALLEL: usize> {
    fired: Mutex<Vec<(RolloutId, At)>>,
    reads: AtomicUsize,
    acts: AtomicUsize,
    gate: Semaphore,
    decide: Decide,
}

impl<const PARALLEL: usize> Alarm<PARALLEL> {
    fn new(decide: impl Fn(WorkloadRow, usize) -> Result<Commit, Failure> + Send + Sync + 'static) -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self {
            fired: Mutex::default(),
            reads: AtomicUsize::new(0),
            acts: AtomicUsize::new(0),
            gate,
            decide: Box::new(decide),
        }
    }

    /// The instants at which the row called `name` fired.
    fn fired(&self, name: &str) -> Vec<At> {
        self.fired.lock().unwrap().iter().filter(|(id, _)| *id == of(name)).map(|(_, at)| *at).collect()
    }

    fn times(&self) -> usize {
        self.fired.lock().unwrap().len()
    }

    async fn fires(&self, times: usize) {
        eventually(&format!("{times} deadlines fire"), || self.times() >= times).await;
    }
}

impl<const PARALLEL: usize> Handler for Alarm<PARALLEL> {
    const NAME: &'static str = "alarm";
    const CONSUMERS: &'static [Consumer] = &[Consumer::new("alarm", &["tg.cmd.>"])];
    const PARALLEL: usize = PARALLEL;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        self.acts.fetch_add(1, Ordering::SeqCst);
        let _passed = self.gate.acquire().await.unwrap();
        Ok(())
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, (): &(), now: At) -> Result<Commit, Failure> {
        let due = match cause {
            Cause::Deadline(due) => due,
            Cause::Message(incoming) => {
                let Message::RolloutStop(said) = &incoming.message else {
                    return Err(Failure::never("unknown_type", "not mine"));
                };
                let row = row_of(&said.rollout_id, Some(now.plus_ms(300)));
                return Ok(Commit::applied()
                    .wake(&said.rollout_id, 0, row.wake_at)
                    .change(Change::Workload { row: Box::new(row), from: None }));
            }
        };
        let Some(row) = rows.workload(&due.rollout_id).await?.filter(|row| row.tries == due.version) else {
            return Ok(Commit::applied());
        };
        assert!(row.wake_at.is_some_and(|at| at <= now), "{} fired early", due.rollout_id);
        let times = {
            let mut fired = self.fired.lock().unwrap();
            fired.push((due.rollout_id.clone(), now));
            fired.iter().filter(|(id, _)| *id == due.rollout_id).count()
        };
        (self.decide)(row, times)
    }

    async fn due(&self, mut rows: Rows<'_>, before: At, limit: i64) -> Result<Vec<Due>, Failure> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(rows.due_workloads(before, limit).await?)
    }
}

fn of(name: &str) -> RolloutId {
    RolloutId::of("/test", name)
}

fn row_of(id: &RolloutId, wake_at: Option<At>) -> WorkloadRow {
    WorkloadRow {
        rollout_id: id.clone(),
        request: json!({}),
        attempt: 1,
        state: "probing".to_owned(),
        error: None,
        tries: 0,
        wake_at,
    }
}

/// The usual end of a deadline: it is over.
fn over(mut row: WorkloadRow) -> Commit {
    let from = Some((row.attempt, row.tries));
    (row.tries, row.wake_at) = (row.tries + 1, None);
    Commit::applied().change(Change::Workload { row: Box::new(row), from })
}

/// A process with rows that wait: name, and milliseconds after noon.
async fn process(rows: &[(&str, i64)]) -> (Core, Home) {
    let (store, home) = home().await;
    let mut tx = store.begin().await.unwrap();
    for (name, after) in rows {
        let row = Box::new(row_of(&of(name), Some(NOON.plus_ms(*after))));
        tx.apply(&Change::Workload { row, from: None }).await.unwrap();
    }
    tx.commit().await.unwrap();
    (Core::start(store, Clock::manual(NOON)).await.unwrap(), home)
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "in vain: {what}");
}

/// Moves the clock by a second and waits until the rows were read again.
async fn a_second_passes<const PARALLEL: usize>(core: &Core, alarm: &Alarm<PARALLEL>) {
    let reads = alarm.reads.load(Ordering::SeqCst);
    core.clock.move_to(core.clock.now().plus_ms(1_000));
    eventually("the rows are read again", || alarm.reads.load(Ordering::SeqCst) > reads).await;
}

#[tokio::test]
async fn a_deadline_fires_once_at_its_instant() {
    let (core, _folder) = process(&[("before", 10_000), ("it", 10_001)]).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, _| Ok(over(row))));
    serve_handler(&core, &alarm);
    for _ in 0..9 {
        a_second_passes(&core, &alarm).await;
    }
    assert_eq!(alarm.times(), 0);
    core.clock.move_to(NOON.plus_ms(10_000));
    alarm.fires(1).await;
    assert_eq!((alarm.fired("before"), alarm.fired("it")), (vec![NOON.plus_ms(10_000)], vec![]));
    core.clock.move_to(NOON.plus_ms(10_001));
    alarm.fires(2).await;
    a_second_passes(&core, &alarm).await;
    a_second_passes(&core, &alarm).await;
    assert_eq!((alarm.fired("it"), alarm.times()), (vec![NOON.plus_ms(10_001)], 2));
}

#[tokio::test]
async fn a_commit_arms_its_deadline_without_waiting_for_the_next_read() {
    let (core, _folder) = process(&[]).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, _| Ok(over(row))));
    serve_handler(&core, &alarm);
    eventually("the rows are read", || alarm.reads.load(Ordering::SeqCst) == 1).await;
    let command = RolloutCommand {
        tenant: Tenant::default_tenant(),
        model: Model::new("m").unwrap(),
        rollout_id: of("said"),
        verb: Verb::Rollback,
        owner: "ann".to_owned(),
        actor: None,
        reason: None,
        if_version: None,
    };
    let (trace, mut commits) = (Trace::from_parent(None), core.bus.commits());
    let stamped = Stamped { service: "api", at: NOON, trace: &trace };
    say_now(
        &core.bus,
        core.store.begin().await.unwrap(),
        &stamped,
        &[Say { id: "1".to_owned(), message: Message::RolloutStop(command) }],
    )
    .await
    .unwrap();
    tokio::time::timeout(LIMIT, commits.wait_for(|commits| *commits >= 2)).await.unwrap().unwrap();
    core.clock.move_to(NOON.plus_ms(300));
    alarm.fires(1).await;
    assert_eq!((alarm.fired("said"), alarm.reads.load(Ordering::SeqCst)), (vec![NOON.plus_ms(300)], 1));
}

#[tokio::test]
async fn what_is_overdue_after_a_start_is_spread_over_two_seconds() {
    let rows: Vec<_> = (0..10).map(|number| (number.to_string(), number - 1_000_000)).collect();
    let rows: Vec<_> = rows.iter().map(|(name, after)| (name.as_str(), *after)).collect();
    let (core, _folder) = process(&rows).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, _| Ok(over(row))));
    serve_handler(&core, &alarm);
    for number in 0..10 {
        core.clock.move_to(NOON.plus_ms(200 * number));
        alarm.fires(usize::try_from(number).unwrap() + 1).await;
    }
    let fired: Vec<_> = alarm.fired.lock().unwrap().iter().map(|(_, at)| at.ms_since(NOON)).collect();
    assert_eq!(fired, (0..10).map(|number| 200 * number).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_thousand_deadlines_at_one_instant_fire_once_each() {
    let rows: Vec<_> = (0..1_000).map(|number| (number.to_string(), 1_500)).collect();
    let rows: Vec<_> = rows.iter().map(|(name, after)| (name.as_str(), *after)).collect();
    let (core, _folder) = process(&rows).await;
    let alarm = Arc::new(Alarm::<8>::new(|row, _| Ok(over(row))));
    serve_handler(&core, &alarm);
    core.clock.move_to(NOON.plus_ms(1_500));
    alarm.fires(1_000).await;
    a_second_passes(&core, &alarm).await;
    a_second_passes(&core, &alarm).await;
    let mut fired: Vec<_> = alarm.fired.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
    fired.sort();
    fired.dedup();
    assert_eq!((fired.len(), alarm.times()), (1_000, 1_000));
}

#[tokio::test]
async fn what_is_due_at_once_is_committed_at_once_and_one_that_fails_spoils_no_other() {
    let rows: Vec<_> = (0..20).map(|number| (number.to_string(), 1_500)).collect();
    let rows: Vec<_> = rows.iter().map(|(name, after)| (name.as_str(), *after)).collect();
    let (core, _folder) = process(&rows).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, times| match times {
        1 if row.rollout_id == of("7") => Err(Failure::never("odd", "odd")),
        _ => Ok(over(row)),
    }));
    serve_handler(&core, &alarm);
    eventually("the rows are read", || alarm.reads.load(Ordering::SeqCst) == 1).await;
    core.clock.move_to(NOON.plus_ms(1_500));
    let mut reader = core.store.reader().await.unwrap();
    for number in 0..20 {
        let id = of(&number.to_string());
        let waiting = async {
            while reader.rows().workload(&id).await.unwrap().unwrap().wake_at.is_some() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "{number} does not end");
        assert_eq!(reader.rows().workload(&id).await.unwrap().unwrap().tries, 1);
    }
}

#[tokio::test]
async fn a_lost_race_is_decided_anew_at_once() {
    let (core, _folder) = process(&[("it", 1)]).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, times| {
        let lost =
            Change::Followed { tenant: Tenant::default_tenant(), model: Model::new("nobody").unwrap(), generation: 1 };
        Ok(if times < 4 { over(row).change(lost) } else { over(row) })
    }));
    serve_handler(&core, &alarm);
    core.clock.move_to(NOON.plus_ms(1));
    alarm.fires(4).await;
    a_second_passes(&core, &alarm).await;
    a_second_passes(&core, &alarm).await;
    assert_eq!(alarm.fired("it"), [NOON.plus_ms(1); 4]);
    let row = core.store.reader().await.unwrap().rows().workload(&of("it")).await.unwrap().unwrap();
    assert_eq!((row.tries, row.wake_at), (1, None));
}

#[tokio::test]
async fn a_deadline_that_fails_or_panics_is_tried_again_and_holds_no_other_up() {
    let (core, _folder) = process(&[("fails", 1), ("other", 2)]).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, times| match times {
        1 if row.rollout_id == of("fails") => Err(Failure::Later("not yet".to_owned())),
        2 if row.rollout_id == of("fails") => panic!("odd"),
        3 if row.rollout_id == of("fails") => Err(Failure::never("odd", "odd")),
        _ => Ok(over(row)),
    }));
    serve_handler(&core, &alarm);
    core.clock.move_to(NOON.plus_ms(1));
    alarm.fires(1).await;
    core.clock.move_to(NOON.plus_ms(2));
    alarm.fires(2).await;
    eventually("it works in the end", || {
        core.clock.move_to(core.clock.now().plus_ms(50));
        alarm.fired("fails").len() == 4
    })
    .await;
    assert_eq!(alarm.fired("other"), [NOON.plus_ms(2)]);
    let fired = alarm.fired("fails");
    assert!(fired.windows(2).all(|pair| pair[1].ms_since(pair[0]) >= 1_000), "{fired:?}");
}

#[tokio::test]
async fn a_deadline_that_stays_due_does_not_spin() {
    let (core, _folder) = process(&[("stays", 1), ("other", 2)]).await;
    // Nothing moves, and the commit even arms the same deadline again.
    let alarm = Arc::new(Alarm::<1>::new(|row, _| {
        Ok(if row.rollout_id == of("other") {
            over(row)
        } else {
            Commit::applied().wake(&row.rollout_id, row.tries, row.wake_at)
        })
    }));
    serve_handler(&core, &alarm);
    core.clock.move_to(NOON.plus_ms(2));
    alarm.fires(2).await;
    assert_eq!(alarm.fired("other").len(), 1);
    for _ in 0..5 {
        a_second_passes(&core, &alarm).await;
    }
    let fired = alarm.fired("stays");
    assert!((2..=6).contains(&fired.len()), "{fired:?}");
}

#[tokio::test]
async fn a_deadline_whose_outside_call_is_slow_is_not_fired_again_meanwhile() {
    let (core, _folder) = process(&[("slow", 1)]).await;
    let alarm = Arc::new(Alarm::<8>::new(|row, _| Ok(over(row))));
    alarm.gate.forget_permits(Semaphore::MAX_PERMITS);
    serve_handler(&core, &alarm);
    core.clock.move_to(NOON.plus_ms(1));
    eventually("the call begins", || alarm.acts.load(Ordering::SeqCst) == 1).await;
    for _ in 0..5 {
        a_second_passes(&core, &alarm).await;
    }
    alarm.gate.add_permits(100);
    alarm.fires(1).await;
    a_second_passes(&core, &alarm).await;
    a_second_passes(&core, &alarm).await;
    assert_eq!((alarm.acts.load(Ordering::SeqCst), alarm.times()), (1, 1));
}

#[tokio::test]
async fn what_a_row_says_counts_even_when_its_version_fell() {
    let (core, _folder) = process(&[("it", 4_000)]).await;
    let mut asked = row_of(&of("it"), Some(NOON.plus_ms(4_000)));
    asked.tries = 7;
    let write = async |row: WorkloadRow, from| {
        let mut tx = core.store.begin().await.unwrap();
        tx.apply(&Change::Workload { row: Box::new(row), from: Some(from) }).await.unwrap();
        tx.commit().await.unwrap();
    };
    write(asked, (1, 0)).await;
    let alarm = Arc::new(Alarm::<1>::new(|row, _| Ok(over(row))));
    serve_handler(&core, &alarm);
    eventually("the row is read", || alarm.reads.load(Ordering::SeqCst) == 1).await;
    write(WorkloadRow { attempt: 2, ..row_of(&of("it"), Some(NOON.plus_ms(1_500))) }, (1, 7)).await;
    a_second_passes(&core, &alarm).await;
    core.clock.move_to(NOON.plus_ms(1_500));
    alarm.fires(1).await;
    assert_eq!(alarm.fired("it"), [NOON.plus_ms(1_500)]);
}
