//! Rollouts, their log, and the facts that changed nothing.

use super::*;
use rollout::INCARNATION;
use store::{Due, Place, RefusalRow, Scene};

#[tokio::test]
async fn a_rollout_comes_back_exactly_as_it_was_written() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Observing);
        done(&store, open(row.clone())).await;
        assert_eq!(store.reader().await.unwrap().rows().rollout(&row.id).await.unwrap(), Some(row.clone()));
        assert_eq!(
            store.reader().await.unwrap().rows().salt(&row.id).await.unwrap(),
            Some(format!("salt of {}", row.id))
        );
        let next = next(&row, |next| {
            (next.stage, next.step, next.resume, next.reason, next.previous, next.before) =
                (Stage::Retreating, 2, None, None, None, None);
            (next.attempt, next.generation, next.held_ms) = (4, 8, i64::MAX);
            (next.wake_at, next.entered_at, next.applied_at, next.retreated_at) =
                (Some(At(1)), At(2), None, Some(At(3)));
            next.updated_at = At(4);
        });
        done(&store, moved(&next, 1)).await;
        assert_eq!(store.reader().await.unwrap().rows().rollout(&row.id).await.unwrap(), Some(next));
    })
    .await;
}

#[tokio::test]
async fn a_rollout_that_is_there_is_not_opened_again() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Queued);
        done(&store, open(row.clone())).await;
        lost(&store, open(next(&row, |next| next.reason = None))).await;
        assert_eq!(store.reader().await.unwrap().rows().rollout(&row.id).await.unwrap(), Some(row));
    })
    .await;
}

#[tokio::test]
async fn a_second_live_rollout_of_a_model_is_a_lost_race() {
    with_store(async |store| {
        done(&store, open(rollout("a", "m", Stage::Preparing))).await;
        assert_eq!(class(&store, open(rollout("b", "m", Stage::Preparing))).await, Class::Race);
        let queued = rollout("c", "m", Stage::Queued);
        done(&store, open(queued.clone())).await;
        assert_eq!(class(&store, moved(&next(&queued, |next| next.stage = Stage::Preparing), 1)).await, Class::Race);
        for (name, stage) in [("d", Stage::Completed), ("e", Stage::Queued)] {
            done(&store, open(rollout(name, "m", stage))).await;
        }
        done(&store, open(rollout("f", "other", Stage::Preparing))).await;
        let mut elsewhere = rollout("g", "m", Stage::Preparing);
        elsewhere.tenant = Tenant::new("acme").unwrap();
        done(&store, open(elsewhere)).await;
    })
    .await;
}

#[tokio::test]
async fn a_rollout_waits_with_a_deadline_exactly_until_it_is_final() {
    with_store(async |store| {
        for stage in Stage::ALL {
            let mut row = rollout(stage.name(), stage.name(), *stage);
            row.wake_at = if stage.is_final() { Some(NOON) } else { None };
            assert_eq!(class(&store, open(row.clone())).await, Class::Never, "{stage}");
            row.wake_at = (!stage.is_final()).then_some(NOON);
            done(&store, open(row)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_rollout_that_turned_back_never_goes_forward_again() {
    with_store(async |store| {
        for stage in Stage::ALL {
            let mut row = rollout(stage.name(), stage.name(), Stage::Retreating);
            row.retreated_at = Some(NOON);
            done(&store, open(row.clone())).await;
            let mut next = next(&row, |next| next.stage = *stage);
            next.wake_at = (!stage.is_final()).then_some(NOON);
            let written = apply(&store, moved(&next, 1)).await.map_err(|error| error.class());
            assert_eq!(written, if stage.is_turned_back() { Ok(Written::Done) } else { Err(Class::Never) }, "{stage}");
        }
    })
    .await;
}

#[tokio::test]
async fn versions_of_a_rollout_begin_with_one() {
    with_store(async |store| {
        let mut row = rollout("a", "m", Stage::Queued);
        row.version = 0;
        assert_eq!(class(&store, open(row)).await, Class::Never);
    })
    .await;
}

#[tokio::test]
async fn a_move_from_another_version_loses_and_changes_nothing() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Preparing);
        done(&store, open(row.clone())).await;
        let (first, second) =
            (next(&row, |next| next.stage = Stage::Shifting), next(&row, |next| next.stage = Stage::Paused));
        done(&store, moved(&first, 1)).await;
        lost(&store, moved(&second, 1)).await;
        lost(&store, moved(&second, 3)).await;
        lost(&store, moved(&rollout("unknown", "m", Stage::Paused), 1)).await;
        assert_eq!(store.reader().await.unwrap().rows().rollout(&row.id).await.unwrap(), Some(first));
    })
    .await;
}

#[tokio::test]
async fn due_rollouts_come_in_order_without_those_that_are_final_or_later() {
    with_store(async |store| {
        for (name, stage, wake_at) in [
            ("late", Stage::Paused, 30),
            ("early", Stage::Queued, 10),
            ("mid", Stage::Baking, 20),
            ("after", Stage::Gated, 40),
        ] {
            let mut row = rollout(name, name, stage);
            row.wake_at = Some(At(wake_at));
            done(&store, open(row)).await;
        }
        done(&store, open(rollout("over", "over", Stage::Completed))).await;
        let due = |name, wake_at| Due { rollout_id: id(name), version: 1, wake_at: At(wake_at) };
        let mut reader = store.reader().await.unwrap();
        assert_eq!(
            reader.rows().due_rollouts(At(40), 10).await.unwrap(),
            [due("early", 10), due("mid", 20), due("late", 30)]
        );
        assert_eq!(reader.rows().due_rollouts(At(40), 1).await.unwrap(), [due("early", 10)]);
    })
    .await;
}

#[tokio::test]
async fn only_the_queued_rollouts_of_the_model_are_woken_and_only_earlier() {
    with_store(async |store| {
        let at = |name: &str, of: &str, stage, wake_at| {
            let mut row = rollout(name, of, stage);
            row.wake_at = Some(At(wake_at));
            open(row)
        };
        for change in [
            at("late", "m", Stage::Queued, 90),
            at("early", "m", Stage::Queued, 10),
            at("live", "m", Stage::Paused, 91),
            at("other", "o", Stage::Queued, 92),
        ] {
            done(&store, change).await;
        }
        done(&store, Change::WakeQueued { tenant: tenant(), model: model("m"), at: At(50) }).await;
        let due = store.reader().await.unwrap().rows().due_rollouts(At(100), 10).await.unwrap();
        let due: Vec<_> = due.into_iter().map(|due| (due.rollout_id, due.wake_at.0)).collect();
        assert_eq!(due, [(id("early"), 10), (id("late"), 50), (id("live"), 91), (id("other"), 92)]);
    })
    .await;
}

#[tokio::test]
async fn the_rollout_of_a_model_is_the_live_one_and_else_the_latest() {
    with_store(async |store| {
        let made = |name: &str, stage, created_at| {
            let mut row = rollout(name, "m", stage);
            row.created_at = At(created_at);
            row
        };
        for row in [
            made("first", Stage::Completed, 1),
            made("live", Stage::Gated, 2),
            made("queued", Stage::Queued, 3),
            made("last", Stage::Rejected, 4),
        ] {
            done(&store, open(row)).await;
        }
        let mut reader = store.reader().await.unwrap();
        let of_model = reader.rows().rollout_of(&tenant(), &model("m")).await.unwrap();
        assert_eq!(of_model.map(|row| row.id), Some(id("live")));
        assert_eq!(
            reader.rows().live(&tenant(), &model("m"), &id("queued")).await.unwrap(),
            Some((id("live"), Stage::Gated))
        );
        assert_eq!(reader.rows().live(&tenant(), &model("m"), &id("live")).await.unwrap(), None);
        drop(reader);
        let over = next(&made("live", Stage::Gated, 2), |next| (next.stage, next.wake_at) = (Stage::Cancelled, None));
        done(&store, moved(&over, 1)).await;
        let of_model = store.reader().await.unwrap().rows().rollout_of(&tenant(), &model("m")).await.unwrap();
        assert_eq!(of_model.map(|row| row.id), Some(id("last")));
    })
    .await;
}

#[tokio::test]
async fn pages_of_rollouts_are_newest_first_without_gap_or_repeat() {
    with_store(async |store| {
        for number in 0..7 {
            let mut row = rollout(&number.to_string(), &format!("m{number}"), Stage::Queued);
            row.created_at = At(number / 3);
            done(&store, open(row)).await;
        }
        let mut seen = Vec::new();
        let mut before = (At(i64::MAX), String::new());
        loop {
            let page =
                store.reader().await.unwrap().rows().rollouts(&tenant(), (before.0, &before.1), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            before = (last.created_at, last.id.to_string());
            seen.extend(page.into_iter().map(|row| (row.created_at, row.id)));
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        sorted.reverse();
        assert_eq!((seen.len(), seen), (7, sorted));
        let nobody = Tenant::new("nobody").unwrap();
        assert_eq!(store.reader().await.unwrap().rows().rollouts(&nobody, (At(i64::MAX), ""), 9).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn the_log_comes_back_in_order_and_has_one_entry_a_fact() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Queued);
        let second = next(&row, |next| next.stage = Stage::Preparing);
        let third = next(&second, |next| next.stage = Stage::Shifting);
        let (one, mut two) = (entry(&row, "1"), entry(&second, "2"));
        (two.reason, two.evidence) = (Some(String::new()), None);
        done(&store, open(row.clone())).await;
        done(&store, moved_by(&second, 1, two.clone())).await;
        assert_eq!(class(&store, moved_by(&third, 2, entry(&third, "2"))).await, Class::Never, "a fact moves once");
        assert_eq!(
            class(&store, moved_by(&third, 2, entry(&second, "3"))).await,
            Class::Never,
            "a version has one entry"
        );
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().rollout(&row.id).await.unwrap(), Some(second), "without its entry nothing moves");
        assert_eq!(reader.rows().history(&row.id, 0, 10).await.unwrap(), [one.clone(), two.clone()]);
        assert_eq!(reader.rows().history(&row.id, 0, 1).await.unwrap(), [one]);
        assert_eq!(reader.rows().history(&row.id, 1, 10).await.unwrap(), [two]);
    })
    .await;
}

#[tokio::test]
async fn the_log_has_no_gap() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Queued);
        let second = next(&row, |next| next.stage = Stage::Preparing);
        let third = next(&second, |_| {});
        done(&store, open(row.clone())).await;
        done(&store, moved_by(&second, 1, entry(&third, "3"))).await;
        assert_eq!(class(&store, moved(&next(&second, |_| {}), 2)).await, Class::Never, "version 2 is missing");
    })
    .await;
}

#[tokio::test]
async fn a_step_finds_the_rollout_its_route_and_the_live_one_at_once() {
    with_store(async |store| {
        let row = rollout("a", "m", Stage::Queued);
        let nothing = Place { route: None, live: None, incarnation: 0 };
        let scene = async || store.reader().await.unwrap().rows().scene(&row.id).await.unwrap();
        let place =
            async |but| store.reader().await.unwrap().rows().place_of(&tenant(), &model("m"), &id(but)).await.unwrap();
        assert_eq!((scene().await, place("a").await), (None, Some(nothing.clone())));
        done(&store, open(row.clone())).await;
        let salt = format!("salt of {}", row.id);
        let alone = Scene { rollout: row.clone(), salt: salt.clone(), place: nothing.clone() };
        assert_eq!((scene().await, place("a").await), (Some(alone), None), "it is there itself");
        for other in [
            rollout("live", "m", Stage::Gated),
            rollout("over", "m", Stage::Completed),
            rollout("elsewhere", "o", Stage::Gated),
        ] {
            done(&store, open(other)).await;
        }
        let wished = route("m", 3);
        done(&store, Change::Wish { route: Box::new(wished.clone()), from_generation: 0, at: NOON }).await;
        let there = Place { route: Some(wished), live: Some((id("live"), Stage::Gated)), incarnation: 0 };
        assert_eq!((place("b").await, there.generation()), (Some(there.clone()), 3));
        assert_eq!(scene().await, Some(Scene { rollout: row.clone(), salt, place: there }));
    })
    .await;
}

#[tokio::test]
async fn a_new_incarnation_begins_once_and_counts_above_every_route() {
    with_store(async |store| {
        done(&store, open(rollout("a", "m", Stage::Gated))).await;
        done(&store, Change::Wish { route: Box::new(route("m", 3)), from_generation: 0, at: NOON }).await;
        for (from, to, begins) in [(0, 2, true), (0, 3, false), (2, 3, true)] {
            let mut tx = store.begin().await.unwrap();
            assert_eq!(tx.begin_incarnation(from, to).await.unwrap(), begins, "{from} to {to}");
            tx.commit().await.unwrap();
        }
        let mut reader = store.reader().await.unwrap();
        let place = reader.rows().scene(&id("a")).await.unwrap().unwrap().place;
        assert_eq!((place.route_generation(), place.generation()), (3, 3 * INCARNATION));
    })
    .await;
}

#[tokio::test]
async fn what_is_foreseen_is_what_would_be_read_also_after_a_write() {
    with_store(async |store| {
        let (row, other) = (rollout("a", "m", Stage::Queued), rollout("b", "m", Stage::Queued));
        let elsewhere = rollout("c", "o", Stage::Gated);
        for row in [&row, &other, &elsewhere] {
            done(&store, open(row.clone())).await;
        }
        let read = async |id: &RolloutId| store.reader().await.unwrap().rows().scene(id).await.unwrap();
        let before = [read(&row.id).await, read(&other.id).await, read(&elsewhere.id).await];
        let mut tx = store.begin().await.unwrap();
        tx.rows().foresee(&[row.id.clone(), other.id.clone(), elsewhere.id.clone(), id("unknown")]).await.unwrap();
        assert_eq!(tx.rows().scene(&row.id).await.unwrap(), before[0]);
        let live = next(&row, |next| next.stage = Stage::Preparing);
        let further = next(&live, |next| next.stage = Stage::Shifting);
        for (change, won) in [(moved(&live, 1), Written::Done), (moved(&further, 2), Written::Done)] {
            assert_eq!(tx.apply(&change).await.unwrap(), won);
        }
        let waits = tx.rows().scene(&other.id).await.unwrap().unwrap();
        assert_eq!(waits.place.live, Some((row.id.clone(), Stage::Shifting)), "others of the model see the move");
        assert_eq!(tx.rows().scene(&elsewhere.id).await.unwrap(), before[2], "another model's is as it was");
        assert_eq!(tx.rows().scene(&row.id).await.unwrap().unwrap().rollout, further);
        assert_eq!(tx.rows().scene(&id("unknown")).await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!(store.reader().await.unwrap().rows().broken_link(&row.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn refusals_are_kept_once_each_up_to_a_thousand() {
    with_store(async |store| {
        let refusal = |number: i64| RefusalRow {
            rollout_id: id("a"),
            fact_source: "/tidegate/clock".to_owned(),
            fact_id: format!("{number:05}"),
            fact_kind: "deadline_passed".to_owned(),
            reason: "stale".to_owned(),
            actor: "ann".to_owned(),
            at_version: 3,
            refused_at: At(number),
        };
        let mut tx = store.begin().await.unwrap();
        for number in (0..1_005).chain([0, 1]) {
            assert_eq!(tx.apply(&Change::Refuse(refusal(number))).await.unwrap(), Written::Done);
        }
        let other = RefusalRow { rollout_id: id("b"), ..refusal(1) };
        tx.apply(&Change::Refuse(other.clone())).await.unwrap();
        tx.commit().await.unwrap();
        let mut reader = store.reader().await.unwrap();
        assert_eq!(reader.rows().refusals(&id("a")).await.unwrap(), (0..1_000).map(refusal).collect::<Vec<_>>());
        assert_eq!(reader.rows().refusals(&id("b")).await.unwrap(), [other]);
    })
    .await;
}
