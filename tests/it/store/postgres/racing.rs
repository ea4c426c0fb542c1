//! Writers that meet: one wins, the other reads what it wrote or loses without a trace.

use std::time::Duration;

use super::*;
use store::Tx;

async fn begin(store: &Store) -> Tx {
    store.begin().await.unwrap()
}

/// Waits until so many sessions wait for a lock, or for the end of another one's transaction.
async fn waiting(server: &Postgres, sessions: i64) {
    server.until("select count(*) = $1 from pg_stat_activity where wait_event_type = 'Lock'", sessions).await;
}

#[tokio::test]
async fn a_step_that_comes_second_waits_and_then_reads_all_that_the_first_one_wrote() {
    let server = Postgres::start();
    let store = server.store().await;
    let row = rollout("a", "m", Stage::Preparing);
    done(&store, open(row.clone())).await;
    let (first_row, second_row) = (
        next(&row, |next| next.stage = Stage::Shifting),
        next(&row, |next| (next.stage, next.version) = (Stage::Paused, 3)),
    );
    for foreseen in [false, true] {
        let row = store.reader().await.unwrap().rows().scene(&row.id).await.unwrap().unwrap();
        let (from, generation) = (row.rollout.version, row.place.route.map_or(0, |route| route.generation));
        let mut first = begin(&store).await;
        assert!(first.rows().scene(&row.rollout.id).await.unwrap().is_some());
        let mut second = begin(&store).await;
        let reads = async {
            if foreseen {
                second.rows().foresee(std::slice::from_ref(&row.rollout.id)).await.unwrap();
            }
            second.rows().scene(&row.rollout.id).await.unwrap().unwrap()
        };
        let writes = async {
            waiting(&server, 1).await;
            let moved_to = Rollout { version: from + 1, ..first_row.clone() };
            assert_eq!(first.apply(&moved(&moved_to, from)).await.unwrap(), Written::Done);
            let wish =
                Change::Wish { route: Box::new(route("m", generation + 1)), from_generation: generation, at: NOON };
            assert_eq!(first.apply(&wish).await.unwrap(), Written::Done);
            first.commit().await.unwrap();
        };
        let (scene, ()) = tokio::join!(reads, writes);
        assert_eq!(scene.rollout.version, from + 1);
        assert_eq!(scene.place.route.map(|route| route.generation), Some(generation + 1), "not the route of before");
        let moved_to = Rollout { version: from + 2, ..second_row.clone() };
        assert_eq!(second.apply(&moved(&moved_to, from + 1)).await.unwrap(), Written::Done);
        second.commit().await.unwrap();
        assert_eq!(store.reader().await.unwrap().rows().broken_link(&row.rollout.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_move_decided_from_what_another_one_changed_loses_and_leaves_nothing() {
    let server = Postgres::start();
    let store = server.store().await;
    let row = rollout("a", "m", Stage::Preparing);
    done(&store, open(row.clone())).await;
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    let to = |stage| next(&row, |next| next.stage = stage);
    assert_eq!(first.apply(&moved(&to(Stage::Shifting), 1)).await.unwrap(), Written::Done);
    let loses = async {
        second.mark(&[mark("stage-scheduler", "2", NOON)]).await.unwrap();
        second.say(&[message("2", NOON)]).await.unwrap();
        let written = second.apply(&moved(&to(Stage::Paused), 1)).await.unwrap();
        drop(second);
        written
    };
    let wins = async {
        waiting(&server, 1).await;
        first.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(loses, wins).0, Written::Lost);
    let mut reader = store.reader().await.unwrap();
    assert_eq!(reader.rows().rollout(&row.id).await.unwrap(), Some(to(Stage::Shifting)));
    assert_eq!(reader.rows().history(&row.id, 0, 10).await.unwrap().len(), 2);
    assert!(!reader.rows().is_settled("stage-scheduler", "/tidegate/api", "2").await.unwrap());
    assert_eq!(reader.rows().said_after(0, "", 10).await.unwrap(), []);
}

#[tokio::test]
async fn of_two_rollouts_that_become_live_at_once_one_loses_the_race_and_leaves_nothing() {
    let server = Postgres::start();
    let store = server.store().await;
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    assert_eq!(first.apply(&open(rollout("a", "m", Stage::Preparing))).await.unwrap(), Written::Done);
    let loses = async {
        second.mark(&[mark("stage-scheduler", "2", NOON)]).await.unwrap();
        let error = second.apply(&open(rollout("b", "m", Stage::Preparing))).await.unwrap_err();
        drop(second);
        error.class()
    };
    let wins = async {
        waiting(&server, 1).await;
        first.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(loses, wins).0, Class::Race);
    let mut reader = store.reader().await.unwrap();
    assert_eq!(reader.rows().rollout(&id("b")).await.unwrap(), None);
    assert!(!reader.rows().is_settled("stage-scheduler", "/tidegate/api", "2").await.unwrap());
}

#[tokio::test]
async fn of_two_that_settle_a_message_at_once_one_finds_it_settled() {
    let server = Postgres::start();
    let store = server.store().await;
    let marks = [mark("analyzer", "1", NOON), mark("analyzer", "2", NOON)];
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    assert_eq!(first.mark(&marks[..1]).await.unwrap(), 1);
    let wins = async {
        waiting(&server, 1).await;
        first.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(second.mark(&marks), wins).0.unwrap(), 1);
}

#[tokio::test]
async fn two_that_wait_for_each_other_are_parted_and_one_tries_again() {
    let server = Postgres::start();
    let store = server.store().await;
    for name in ["a", "b"] {
        done(&store, open(rollout(name, name, Stage::Gated))).await;
    }
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    first.rows().scene(&id("a")).await.unwrap();
    second.rows().scene(&id("b")).await.unwrap();
    let (one, other) = tokio::join!(async { first.rows().scene(&id("b")).await.map(drop) }, async {
        second.rows().scene(&id("a")).await.map(drop)
    });
    let classes: Vec<_> = [one, other].into_iter().filter_map(|read| read.err().map(|error| error.class())).collect();
    assert_eq!(classes, [Class::Transient]);
}

#[tokio::test]
async fn scenes_that_are_foreseen_are_held_in_one_order() {
    let server = Postgres::start();
    let store = server.store().await;
    let ids: Vec<_> = (0..40).map(|number: i64| id(&number.to_string())).collect();
    for number in 0..40 {
        done(&store, open(rollout(&number.to_string(), &number.to_string(), Stage::Gated))).await;
    }
    let backwards: Vec<_> = ids.iter().rev().cloned().collect();
    for _ in 0..20 {
        let held = async |ids: &[RolloutId]| {
            let mut tx = store.begin().await.unwrap();
            tx.rows().foresee(ids).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::join!(held(&ids), held(&backwards), held(&ids), held(&backwards));
    }
}

#[tokio::test]
async fn a_lock_that_is_held_for_long_is_waited_for_no_longer_than_two_seconds() {
    let server = Postgres::start();
    let store = server.store().await;
    done(&store, open(rollout("a", "m", Stage::Gated))).await;
    let mut first = begin(&store).await;
    first.rows().scene(&id("a")).await.unwrap();
    let mut second = begin(&store).await;
    let read = tokio::time::timeout(Duration::from_secs(10), second.rows().scene(&id("a"))).await.unwrap();
    assert_eq!(read.unwrap_err().class(), Class::Transient);
}

#[tokio::test]
async fn two_relays_claim_different_rows_and_neither_waits() {
    let server = Postgres::start();
    let store = server.store().await;
    let mut tx = begin(&store).await;
    let messages: Vec<_> = (0..10).map(|number: i64| message(&number.to_string(), NOON)).collect();
    let positions: Vec<_> = tx.say_to_relay(&messages, NOON).await.unwrap().into_iter().map(|said| said.0).collect();
    tx.commit().await.unwrap();
    let mut other = server.session().await;
    // A relay that has claimed the first rows, and has not committed yet.
    let claim = "begin; update outbox set claimed_until = 9 where position in (select position from outbox order by position limit 4)";
    sqlx::raw_sql(claim).execute(&mut other).await.unwrap();
    let claimed = store.claim("api", (At(NOON.0 + 1), At(NOON.0 + 2)), 100).await.unwrap();
    assert_eq!(claimed.iter().map(|placed| placed.position).collect::<Vec<_>>(), positions[4..]);
}

#[tokio::test]
async fn of_two_versions_that_become_active_at_once_one_loses_the_race_and_leaves_nothing() {
    let server = Postgres::start();
    let store = server.store().await;
    for text in ["1.0", "1.1"] {
        done(&store, Change::Version(Box::new(version_row("m", text, "published")))).await;
    }
    let active = |text| Change::Status {
        tenant: tenant(),
        model: model("m"),
        version: version(text),
        from: "published".to_owned(),
        status: "active",
        traffic_pct: 100.0,
        at: NOON,
    };
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    assert_eq!(first.apply(&active("1.0")).await.unwrap(), Written::Done);
    let loses = async {
        second.mark(&[mark("registry-writer", "2", NOON)]).await.unwrap();
        second.apply(&active("1.1")).await.unwrap_err().class()
    };
    let wins = async {
        waiting(&server, 1).await;
        first.commit().await.unwrap();
    };
    // Never would park the news, and the registry would not follow.
    assert_eq!(tokio::join!(loses, wins).0, Class::Race);
    drop(second);
    assert!(!store.reader().await.unwrap().rows().is_settled("registry-writer", "/tidegate/api", "2").await.unwrap());
}

#[tokio::test]
async fn of_two_probes_that_end_at_once_one_loses_and_says_nothing() {
    let server = Postgres::start();
    let store = server.store().await;
    let row = |tries, state: &str| store::WorkloadRow {
        rollout_id: id("a"),
        request: json!({}),
        attempt: 1,
        state: state.to_owned(),
        error: None,
        tries,
        wake_at: None,
    };
    let written = |tries, state, from| Change::Workload { row: Box::new(row(tries, state)), from };
    done(&store, written(0, "probing", None)).await;
    let mut first = begin(&store).await;
    let mut second = begin(&store).await;
    assert_eq!(first.apply(&written(1, "ready", Some((1, 0)))).await.unwrap(), Written::Done);
    let loses = async { second.apply(&written(1, "probing", Some((1, 0)))).await.unwrap() };
    let wins = async {
        waiting(&server, 1).await;
        first.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(loses, wins).0, Written::Lost);
    drop(second);
    assert_eq!(store.reader().await.unwrap().rows().workload(&id("a")).await.unwrap(), Some(row(1, "ready")));
}
