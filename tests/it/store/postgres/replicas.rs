//! Two replicas of a service over one database: each deadline has one effect, whoever is quicker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::house::LIMIT;
use ::chassis::{Cause, Clock, Commit, Consumer, Core, Failure, Handler, serve_handler};
use store::{Due, Rows};

const ROLLOUTS: i64 = 100;

/// Moves a rollout once when its deadline passes.
struct Once;

impl Handler for Once {
    const NAME: &'static str = "once";
    const CONSUMERS: &'static [Consumer] = &[];
    const PARALLEL: usize = 2;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, (): &(), now: At) -> Result<Commit, Failure> {
        let Cause::Deadline(due) = cause else { return Ok(Commit::applied()) };
        let scene = rows.scene(&due.rollout_id).await?.filter(|scene| scene.rollout.version == due.version);
        let Some(scene) = scene else { return Ok(Commit::applied()) };
        let later = next(&scene.rollout, |next| next.wake_at = Some(now.max(AFTER).plus_ms(1_000_000)));
        Ok(Commit::applied().change(moved(&later, due.version)))
    }

    async fn due(&self, mut rows: Rows<'_>, before: At, limit: i64) -> Result<Vec<Due>, Failure> {
        Ok(rows.due_rollouts(before, limit).await?)
    }
}

/// Later than the first deadlines.
const AFTER: At = At(NOON.0 + 10_000);

/// Rollouts whose deadlines pass one after another.
async fn waiting(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for number in 0..ROLLOUTS {
        let mut row = rollout(&number.to_string(), &number.to_string(), Stage::Gated);
        row.wake_at = Some(NOON.plus_ms(50 * number));
        tx.apply(&open(row)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn replica(server: &Postgres) -> Core {
    let core = Core::start(server.store().await, Clock::manual(NOON)).await.unwrap();
    serve_handler(&core, &Arc::new(Once));
    core
}

/// Lets time pass until at most so many deadlines are left.
async fn until_left(replicas: &[&Core], store: &Store, most: usize) {
    let since = Instant::now();
    loop {
        let left = async { store.reader().await?.rows().due_rollouts(AFTER, ROLLOUTS).await }.await;
        match left {
            Ok(left) if left.len() <= most => return,
            Ok(_) => {}
            Err(error) => assert_eq!(error.class(), Class::Transient, "{error:?}"),
        }
        assert!(since.elapsed() < LIMIT, "some deadlines do not fire");
        // Rows are read once a second, and what another replica armed is left to it for a while.
        for core in replicas {
            core.clock.move_to(core.clock.now().plus_ms(250));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn each_moved_once(store: &Store) {
    let mut reader = store.reader().await.unwrap();
    for number in 0..ROLLOUTS {
        let id = id(&number.to_string());
        assert_eq!(reader.rows().rollout(&id).await.unwrap().unwrap().version, 2, "{id}");
        assert_eq!(reader.rows().history(&id, 0, 10).await.unwrap().len(), 2, "{id}");
        assert_eq!(reader.rows().broken_link(&id).await.unwrap(), None, "{id}");
    }
}

#[tokio::test]
async fn two_replicas_move_each_rollout_once_when_its_deadline_passes() {
    let server = Postgres::start();
    let store = server.store().await;
    waiting(&store).await;
    let (one, other) = (replica(&server).await, replica(&server).await);
    until_left(&[&one, &other], &store, 0).await;
    for core in [one, other] {
        assert!(core.stop().await, "a replica stops in time");
    }
    each_moved_once(&store).await;
}

#[tokio::test]
async fn a_server_that_crashes_in_between_delays_deadlines_and_neither_loses_nor_doubles_one() {
    let mut server = Postgres::start_with(&[]);
    let store = server.store().await;
    waiting(&store).await;
    let core = replica(&server).await;
    for most in [80, 60, 40, 20] {
        until_left(&[&core], &store, most).await;
        core.clock.move_to(core.clock.now().plus_ms(500));
        server.crash();
        server.start_again();
    }
    until_left(&[&core], &store, 0).await;
    assert!(core.stop().await, "the replica stops in time");
    each_moved_once(&store).await;
}
